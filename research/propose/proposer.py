"""What every source of proposals is, asked and told, its lane, and how those that the config names are made.

A campaign with a model has two lanes: the team's, and a control that never has the model. Both have the same
default, the same number of turns and proposers of their own, and neither sees what the other found: the
difference between them is what the model brought. So neither depends on which of them is quicker, and the
control's trainings fill the time that the team talks.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

from refusal import Refusal
from research.metrics import rank, words
from research.stats.arms import Arm
from research.stats.claims import refutation
from research.types import STOPPED, Objective, Proposal, Record, VerdictWord

SeenStatus = Literal["done", "failed", "refused", "repeat"]


class Seen(Record):
    """One proposal and what came of it: screened figures, or why there are none."""

    overrides: tuple[str, ...]
    proposer: str
    status: SeenStatus
    metrics: dict[str, float] = {}
    """means over the screening seeds, validation split only; empty unless done"""
    reason: str | None = None
    """why it was refused or failed, in one sentence"""
    trials: tuple[int, ...] = ()
    """those that screened and promoted it, where they are told"""
    means: dict[str, float] = {}
    """over all of these, whatever their seed"""
    spread: dict[str, float] = {}
    """sample standard deviations over them; empty where it is one"""
    verdict: VerdictWord | None = None
    """what its claim came to"""

    @property
    def word(self) -> str:
        """How it ended as people read it: what was ended because it could not win has not failed."""
        if self.verdict is not None:
            return self.verdict
        return "stopped" if self.status == "failed" and STOPPED in (self.reason or "") else self.status


class State(Record):
    """What a proposer may know of a search: never a test figure."""

    goal: str
    objective: Objective
    """as screened: `val/accuracy` where the goal decides on `test/accuracy`"""
    asked: Objective | None = None
    """the same with bounds relative to the control as such: on other tasks they are other figures"""
    fixed: tuple[str, ...]
    """overrides of every trial; a proposal may not set these keys or groups again"""
    control: Seen | None
    incumbent: Seen | None
    """the best that was screened so far, the controls included"""
    stopped: Seen | None = None
    """the control stopped at the goal's bound, which a claim about a cost must beat; None for none"""
    seen: tuple[Seen, ...] = ()
    """everything proposed so far, oldest first, the control left out"""
    spread: dict[str, float] = {}
    """sample standard deviation over seeds of the control's figures; empty where one seed was run"""
    person: tuple[str, ...] = ()
    """what the person has said while it runs, a line each: `focus optimizer.lr`"""


class Proposer(ABC):
    """A source of proposals; what it says is hostile until the gate, which the sprint asks, accepts it."""

    name: str
    first = False
    """whether it has a short list that is worth trying before any search begins"""

    @abstractmethod
    def ask(self, state: State) -> Proposal | None:
        """The next proposal, with `proposer` set to its name; None when it has nothing to say now."""

    def tell(self, proposal: Proposal, seen: Seen) -> None:  # noqa: B027  many learn nothing
        """Learn what came of a proposal: of its own ones and of those of all others."""

    def spent(self) -> dict[str, Any]:
        """What proposing itself cost so far, for example calls, tokens, dollars; empty when nothing."""
        return {}


def claim(overrides: tuple[str, ...], state: State, proposer: str) -> Proposal:
    """A sampler's proposal: the claim that these overrides improve what the goal asks for."""
    verb = "lowers" if state.objective.direction == "min" else "raises"
    what = ", ".join(overrides) or "the control"
    return Proposal(
        hypothesis=f"{what} {verb} {words(state.objective.metric)} against the control.",
        overrides=overrides,
        metric=state.objective.metric,
        direction=state.objective.direction,
        refuted_by=refutation(state.objective),
        proposer=proposer,
    )


Lane = Literal["team", "control"]
CONTROL = "control/"
"""how names of the control lane begin"""


def lane_of(proposer: str) -> Lane:
    """The lane of a proposer by its name, as it stands in a proposal, an arm or a `Seen`."""
    return "control" if proposer.startswith(CONTROL) else "team"


def represented(arms: Sequence[Arm], count: int) -> list[Arm]:
    """Arms, the best first, so that the best of each lane is among the first `count`, where that is two.

    Else one lane alone might be promoted, and the two could not be compared.
    """
    first, rest = list(arms[:count]), list(arms[count:])
    lanes = {lane_of(arm.proposer) for arm in first}
    other = next((arm for arm in rest if lane_of(arm.proposer) not in lanes), None)
    if other is None or count < 2:
        return list(arms)
    return [*first[:-1], other, first[-1], *(arm for arm in rest if arm is not other)]


def view(state: State, proposer: str) -> State:
    """The state as the lane of `proposer` may see it: its own proposals, and the best of those."""
    lane = lane_of(proposer)
    seen = tuple(result for result in state.seen if lane_of(result.proposer) == lane)
    if len(seen) == len(state.seen):
        return state
    known = (state.control, state.stopped, *seen)
    ran = [result for result in known if result is not None and result.status == "done"]
    best = min(ran, key=lambda result: rank(state.objective, result.metrics), default=None)
    return state.model_copy(update={"seen": seen, "incumbent": best})


@final
class InLane(Proposer):
    """A proposer that sees its own lane only; in the control lane its name begins with `control/`."""

    def __init__(self, proposer: Proposer, lane: Lane) -> None:
        self._proposer = proposer
        self.first = proposer.first
        self.name = CONTROL + proposer.name if lane == "control" else proposer.name

    def ask(self, state: State) -> Proposal | None:
        """What the proposer makes of its lane."""
        proposal = self._proposer.ask(view(state, self.name))
        return proposal.model_copy(update={"proposer": self.name}) if proposal else None

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Pass on what its own lane found."""
        if lane_of(seen.proposer) == lane_of(self.name):
            self._proposer.tell(proposal, seen)

    def spent(self) -> dict[str, Any]:
        """What the proposer spent."""
        return self._proposer.spent()


Make = Callable[..., Proposer]


def made(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> list[Proposer]:
    """The proposers of `sources` that can work with what is at hand; None in it is what there is none of.

    Raises `Refusal` for a constructor that asks for what nobody has.
    """
    return [make(**wanted) for make, wanted in _makers(sources, at_hand)]


def checked(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> None:
    """Raise what `made` would of sources that cannot be found or asked; nobody is made."""
    _makers(sources, at_hand)


def _makers(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> list[tuple[Make, dict[str, Any]]]:
    from construct import build

    makers: list[Make] = [build(source) for source in sources.values()]
    return [(make, wanted) for make in makers if (wanted := _wanted(make, at_hand)) is not None]


def _wanted(make: Make, at_hand: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that a constructor names; None when one of them is not at hand, as without a model.

    One whose default is None is what it can do without.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}
    names = [name for name, default in defaults.items() if default is inspect.Parameter.empty]
    more = {name: at_hand[name] for name in at_hand if name in defaults and defaults[name] is None}
    unknown = [name for name in names if name not in at_hand]
    if unknown:
        raise Refusal(f"A proposer asks for {unknown[0]}: it can have {', '.join(at_hand)}.")
    if any(at_hand[name] is None for name in names):
        return None
    return {name: at_hand[name] for name in names} | more
