"""What each phase of research wants to read first."""

from collections.abc import Iterable, Mapping

from research.compose.override import override
from research.memory.records import Kind, Phase

_KINDS: dict[Phase, Mapping[Kind, float]] = {
    "planning": {"insight": 1.0, "experiment": 0.6, "trial": 0.2},
    "architecture": {"insight": 0.5, "experiment": 0.5, "trial": 0.3},
    "optimization": {"insight": 0.5, "experiment": 0.5, "trial": 0.4},
    "evaluation": {"insight": 1.0, "experiment": 0.3, "trial": 0.1},
}
_GROUPS: dict[Phase, frozenset[str]] = {
    "architecture": frozenset({"model", "compress"}),
    "optimization": frozenset({"optimizer", "scheduler", "budget", "trainer", "loss"}),
}


def fit(phase: Phase | None, kind: Kind, overrides: Iterable[str]) -> float:
    """How well an episode serves a phase, 0 to 1: by what it is, and by the groups that it turned."""
    if phase is None:
        return 0.0
    groups = [override(text).group for text in overrides]
    wanted = _GROUPS.get(phase)
    if wanted is None:
        return _KINDS[phase][kind]
    share = sum(group in wanted for group in groups) / len(groups) if groups else 0.0
    return (_KINDS[phase][kind] + share) / 2
