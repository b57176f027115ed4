"""What a recipe's claims have been looked at before, from the rows of its earlier runs.

More seeds are another look at the same claims, and all looks share the study's error rate. The seeds that a
discovery was confirmed on chose it, so its recipe is judged on seeds that no trial on its data has had.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from research.campaign.recipe import Study

Row = Mapping[str, Any]
_WORDS = ("seeds", "question", "claim", "alpha")
"""parts of a study with which it still claims the same of the same"""


def earlier(sprints: Iterable[Row], folder: str, study: Study) -> list[tuple[int, ...]]:
    """The seeds of each run of these claims that came to its verdicts, or is under way."""
    own = _claimed(study.model_dump(mode="json"))
    told = [row["facts"].get("study") for row in sprints if row["folder"] == folder]
    return [tuple(one["seeds"]) for one in told if one and _claimed(one) == own]


def counts(runs: Iterable[Sequence[int]], seeds: Sequence[int]) -> tuple[int, ...]:
    """Seeds at each look up to the one at `seeds`, which may be one of those before."""
    return (*sorted({len(run) for run in runs if len(run) < len(seeds)}), len(seeds))


def unseen(runs: Sequence[Sequence[int]], wanted: Sequence[int], seen: set[int]) -> tuple[int, ...]:
    """As many seeds as are wanted: those of earlier runs, then such that no trial has had."""
    found = list(sorted(runs, key=len)[-1] if runs else ())[: len(wanted)]
    seed = max([wanted[0] - 1, *found])
    while len(found) < len(wanted):
        seed += 1
        if seed not in seen:
            found.append(seed)
    return tuple(found)


def _claimed(study: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in study.items() if key not in _WORDS}
