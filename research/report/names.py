"""Short names for arms: `control`, `A`, `B`, ... in the order in which a page tells of them.

A page has one table of them, where each stands with what it does otherwise than the control.
"""

from collections.abc import Iterable, Sequence
from typing import final

from research.compose.override import override
from research.report.markdown import code, table
from research.stats.arms import Arm

DECIDED = ("supported", "refuted", "open")
"""statuses of an arm that has its verdict"""


@final
class ArmNames:
    """The names of a page, or of several that tell of the same arms: an arm keeps the first that it had."""

    def __init__(self, arms: Iterable[Arm] = (), base: Arm | None = None) -> None:
        """`base` is what the others are told beside where that is no control, as the first arm of a sweep."""
        self._base, self._arms = base, dict[str, Arm]()
        self._letters: dict[tuple[str, ...], str] = {}
        for arm in arms:
            self(arm)

    def reserve(self, arms: Iterable[Arm]) -> "ArmNames":
        """Give these the next letters, in their order; the table has each once it is told of."""
        for arm in arms:
            if not (arm.control or arm.stopped):
                self._letter(arm.overrides)
        return self

    def __call__(self, arm: Arm) -> str:
        """What an arm is called; two controls of one campaign are told apart by their letters."""
        role = "control, stopped" if arm.stopped else "control" if arm.control else ""
        if role and self._arms.setdefault(role, arm).overrides == arm.overrides:
            return role
        name = f"{role} {self._letter(arm.overrides)}".strip()
        self._arms.setdefault(name, arm)
        return name

    def line(self, line: str) -> str:
        """What the arm of a line of overrides is called; the line itself where it has no name."""
        own = (name for name, arm in self._arms.items() if " ".join(arm.overrides) == line)
        return next(own, code(line))

    def legend(self, arm: Arm) -> str:
        """The name with what no other arm here has, as `A: labels=soft`: what tells it from the others."""
        others = [other.overrides for other in self._arms.values() if other.overrides != arm.overrides]
        shared = {text for other in others for text in other}
        own = [text for text in arm.overrides if text not in shared] or self._apart(arm)
        told = " ".join(map(_short, own))
        return f"{self(arm)}: {told}" if told and not arm.control else self(arm)

    def table(self) -> list[str]:
        """Each name with what its arm does otherwise than the control, and what was decided of it."""
        beside = "the control" if self._base is None else self(self._base)
        arms = sorted(self._arms.items(), key=lambda item: self._place(*item))
        rows = [[name, f"{self._told(arm)}{_word(arm)}"] for name, arm in arms]
        return table(["arm", f"differs from {beside} by"], rows) if rows else []

    def _place(self, name: str, arm: Arm) -> int:
        return -1 if name.startswith("control") else list(self._letters).index(arm.overrides)

    def _letter(self, overrides: tuple[str, ...]) -> str:
        if overrides not in self._letters:
            self._letters[overrides] = _letters(len(self._letters))
        return self._letters[overrides]

    @property
    def _control(self) -> tuple[str, ...]:
        arms = self._arms.values() if self._base is None else [self._base]
        return next((arm.overrides for arm in arms if arm.control or arm is self._base), ())

    def _told(self, arm: Arm) -> str:
        if arm.overrides == self._control:
            return f"nothing ({code(' '.join(arm.overrides), 2000)})" if arm.overrides else "nothing"
        keys = {override(text).key for text in arm.overrides}
        left = [text for text in self._control if override(text).key not in keys]
        own = self._apart(arm)
        said = [code(" ".join(own), 2000)] if own else []
        return " ".join([*said, *(["without", code(" ".join(left))] if left else [])]) or "nothing"

    def _apart(self, arm: Arm) -> Sequence[str]:
        return [text for text in arm.overrides if text not in self._control]


def _word(arm: Arm) -> str:
    return f", {arm.status}" if arm.status in DECIDED else ""


def _short(text: str) -> str:
    """`labels=soft` of `compress.distill.labels=soft`."""
    key, value, _ = override(text)
    return text if value is None else f"{key.rpartition('.')[2]}={value}"


def _letters(at: int) -> str:
    """`A` to `Z`, then `AA` and on."""
    first, last = divmod(at, 26)
    return f"{_letters(first - 1) if first else ''}{chr(ord('A') + last)}"
