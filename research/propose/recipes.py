"""The recipes of conf/experiment that fit the goal, as proposals: what people kept is worth trying first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import yaml

from research.compose.override import flat, spelt, values_of
from research.propose.idle import Idle
from research.propose.proposer import Proposer, State
from research.propose.random import claim
from research.types import Proposal

_NOT_PROPOSED = {"defaults", "seed", "name", "tags", "score", "question", "study", "launcher", "hydra"}


@final
class Recipes(Proposer):
    """Each recipe once, written out as the plain overrides that it stands for, if the gate lets those in.

    Many recipes fix what is nobody's to turn in a search, as a budget; they are not proposed.
    """

    name = "recipes"
    first = True

    def __init__(
        self,
        conf: Path,
        vocabulary: dict[str, Any],
        fixed: tuple[str, ...],
        check: Callable[[list[str]], Sequence[str]],
    ) -> None:
        """`check` is the gate: complaints about overrides."""
        self._fixed = values_of(fixed)
        self._idle = Idle(vocabulary, self._fixed)
        recipes = (plain(path) for path in sorted((conf / "experiment").glob("*.yaml")))
        rests = [self._rest(overrides) for overrides in recipes if self._fits(overrides)]
        self._left = [rest for rest in rests if rest and not check(list(rest))]

    def ask(self, state: State) -> Proposal | None:
        """The next recipe, less what is fixed anyway or does not act; None after the last.

        Beside a control stopped at the bound it trains as long as that one, unless it says how long: with the
        control's own length no other change is cheaper.
        """
        if not self._left:
            return None
        recipe = self._left.pop(0)
        stopped = state.stopped.overrides if state.stopped else ()
        own = any(text.startswith("budget.") for text in recipe)
        length = () if own else tuple(text for text in stopped if text.startswith("budget."))
        return claim((*recipe, *length), state, self.name)

    def _fits(self, overrides: dict[str, str]) -> bool:
        """A recipe fits when it does not set otherwise what the goal or the person has fixed."""
        return all(self._fixed.get(key, value) == value for key, value in overrides.items())

    def _rest(self, overrides: dict[str, str]) -> tuple[str, ...]:
        return self._idle.without(
            [f"{key}={value}" for key, value in overrides.items() if key not in self._fixed]
        )


def plain(path: Path) -> dict[str, str]:
    """The choices and values of a recipe, key -> text, without its seeds, names and question."""
    content = yaml.safe_load(path.read_text()) or {}
    choices: dict[str, str] = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            group, option = next(iter(entry.items()))
            choices[group.removeprefix("override ").lstrip("/")] = spelt(option)
    return choices | flat({key: value for key, value in content.items() if key not in _NOT_PROPOSED})
