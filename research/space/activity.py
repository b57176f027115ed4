"""When a knob acts: the `when` of the space file, asked of a config or of what is drawn so far."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

from refusal import Refusal
from research.compose.compose import Point, at
from research.space.conditions import Term, compiled

_OF_CHOICES = {"chosen", "family"}


@final
@dataclass(frozen=True)
class Condition:
    """What must hold for a knob to change anything, and the keys that this depends on."""

    keys: tuple[str, ...]
    term: Term

    def acts(self, point: Point) -> bool:
        """Whether the knob acts at a point, of which no choices are asked.

        It does where a key is missing or a value cannot be judged: what may differ is never taken for equal.
        """
        try:
            return bool(self.term(point))
        except (TypeError, ZeroDivisionError, OverflowError, LookupError):
            return True

    def idle(self, key: str, config: Mapping[str, Any]) -> str:
        """The sentence for a knob that does not act: what it would have to differ in."""
        values = ", ".join(f"{one}={_shown(at(config, one))}" for one in self.keys)
        return f"{key} has no effect with {values}"


@lru_cache(maxsize=256)
def condition(text: str) -> Condition:
    """Compile a `when`, in the language of constraints. Raises `Refusal` for what that does not have.

    `chosen` and `family` are refused: a trial's identity is made of its config, which knows no options.
    """
    keys: dict[str, None] = {}
    term = compiled(text, keys)
    called = (node.func for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Call))
    if any(isinstance(one, ast.Name) and one.id in _OF_CHOICES for one in called):
        raise Refusal(f"The condition {text!a} asks which option was chosen: let it read a key instead.")
    return Condition(tuple(keys), term)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace(" ", "")
