"""`task=run`: a queued proposal over the screening seeds beside its control, once or until stopped."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, final

from refusal import Refusal
from research.campaign.admission import Admission
from research.campaign.bench import Arm
from research.campaign.campaign import Campaign
from research.campaign.trials import meanwhile, running
from research.goal.saying import sentence
from research.metrics import is_timed, quantity, untested
from research.store import leases
from research.store.leases import Lease
from research.store.store import Lost
from research.tasks.answer import Answer, Reference, reference
from research.tasks.line import stoppable
from research.tasks.show import row_of
from research.types import Proposal, Record


class _Busy(Refusal):
    """Nothing of the proposal: the machine was too busy for an answer."""


_LATER_S = 300.0
"""how long a proposal waits that a busy machine has held up: a neighbour's work takes minutes, not seconds"""


@final
class ScreenedProposal(Record):
    """One proposal that was run: screened figures beside the control's; screening claims nothing."""

    id: int
    status: str
    """screened or failed"""
    overrides: tuple[str, ...]
    reason: str | None
    asked: str
    """the goal that it was proposed for, as it was understood"""
    metric: str
    seeds: tuple[int, ...]
    control: dict[str, float]
    """means over the screening seeds of the control"""
    figures: dict[str, float]
    """the same of the proposal"""
    trials: tuple[int, ...]


@final
class Ran(Answer):
    """What was run."""

    told: ClassVar[bool] = True

    proposals: tuple[ScreenedProposal, ...]
    left: int
    """proposals that are still queued"""

    def text(self) -> str:
        """One line for each, and what is left."""
        return "\n".join([*map(_line, self.proposals), f"queued     {self.left}"])


def execute(campaign: Campaign, id: int | str | None, daemon: bool) -> Ran:
    """Run one queued experiment, or with `daemon` all until SIGINT or SIGTERM.

    Raises `Refusal` for a proposal that is not queued, and for a control that cannot be run.
    """
    if daemon == (id is not None):
        raise Refusal("task=run takes one of the two: id=proposal:3, or daemon=true for all that is queued.")
    campaign.spend  # noqa: B018  a budget of zero is refused before anything is taken
    store = campaign.known
    with stoppable():
        done = _all(campaign) if daemon else [_one(campaign, reference(id, "id", ("proposal",)))]
    answer = Ran(proposals=tuple(done), left=len(store.proposals(status="queued")))
    campaign.lines.say(answer.text())
    return answer


def _one(campaign: Campaign, wanted: Reference) -> ScreenedProposal:
    row = row_of(campaign.known, wanted)
    taken = leases.next_proposal(campaign.known, wanted.number)
    if taken is None:
        status = "running in another process" if row["status"] == "running" else row["status"]
        raise Refusal(
            f"{wanted} is {status}: only what is queued is run; "
            "task=list what=proposals status=queued lists it."
        )
    return _held(campaign, wanted, taken)


def _all(campaign: Campaign) -> list[ScreenedProposal]:
    """Take what is queued, and wait for more when nothing is, until interrupted."""
    done: list[ScreenedProposal] = []
    # The cores of a machine are its commands' own, unless somebody has shared them out.
    shared = campaign.given_run is None and campaign.config["launcher"]["jobs"] is not None
    launcher = campaign.config["launcher"] if shared else None
    beside = ", while trials that others have queued are run" if shared else ""
    with suppress(KeyboardInterrupt):
        campaign.lines.say(
            f"waiting for proposals{beside}: Ctrl-C ends it, and what runs goes back to the queue"
        )
        while True:
            taken = meanwhile(campaign, lambda: leases.next_proposal(campaign.known), launcher)
            number = int(taken.name.partition(" ")[2])
            try:
                done.append(_held(campaign, Reference("proposal", number), taken))
            except Lost:
                continue
            except Refusal as refusal:
                if _of_the_machine(refusal):  # the next one would meet it too
                    raise
    return done


def _of_the_machine(refusal: Refusal) -> bool:
    """Whether a folder that cannot be written is at fault, and not what was proposed."""
    return isinstance(refusal.__cause__, OSError)


def _held(campaign: Campaign, wanted: Reference, taken: Lease) -> ScreenedProposal:
    """Run what was taken under its lease; interrupted, it goes back to the queue.

    So it does where the machine was too busy for an answer, and no daemon takes it for `_LATER_S` then.
    """
    store = campaign.known
    with leases.held(store, taken):
        try:
            screened = _screened(campaign, row_of(store, wanted))
        except Refusal as refusal:
            later_s = _LATER_S if isinstance(refusal, _Busy) else None
            status = "queued" if later_s or _of_the_machine(refusal) else "failed"
            leases.end_proposal(store, taken, status, {"reasons": [str(refusal)]}, later_s)
            again = f" A daemon takes it again in {later_s:g} s." if later_s else ""
            campaign.lines.say(f"{wanted} {status}: {refusal}{again}", style="yellow")
            raise
        except BaseException:
            with suppress(Lost):
                leases.end_proposal(store, taken, "queued", {})
            raise
        reasons = [screened.reason] if screened.reason else []
        told = {"screened": list(screened.trials), "reasons": reasons}
        leases.end_proposal(store, taken, screened.status, told)
    return screened


def _screened(campaign: Campaign, row: Mapping[str, Any]) -> ScreenedProposal:
    own, proposal = campaign.of(row), Proposal.model_validate(row["proposal"])
    seeds, wanted = own.charter.screen.seeds, own.objective
    control = Arm((), "control", 0)
    arm = Arm(proposal.overrides, proposal.proposer, int(row["id"]))
    with running(own, own.charter.name, own={"jobs": 1} if is_timed(wanted.metric) else None) as run:
        workbench = own.bench(run)
        complaints = Admission(workbench, None, own.charter.review).gate(proposal.overrides)
        if complaints:
            raise Refusal(complaints[0])
        pairs = [(side, seed) for seed in seeds for side in (control, arm)]
        workbench.run(pairs, alone=is_timed(wanted.metric))
    reason = control.failed(seeds)
    if reason:
        raise Refusal(f"The control cannot be run, so nothing can be compared: {reason}.")
    reason = arm.failed(seeds)
    busy = workbench.held(control, seeds) or (None if reason else workbench.held(arm, seeds))
    if busy:
        raise _Busy(f"Nothing can be compared: {busy}.")
    return ScreenedProposal(
        id=int(row["id"]),
        status="failed" if reason else "screened",
        overrides=proposal.overrides,
        reason=reason,
        asked=sentence(own.charter.goal),
        metric=wanted.metric,
        seeds=seeds,
        control=untested(workbench.means(control, seeds)),
        figures=untested(workbench.means(arm, seeds)),
        trials=tuple(arm.trials[seed] for seed in seeds if seed in arm.trials),
    )


def _line(proposal: ScreenedProposal) -> str:
    if proposal.reason:
        return f"proposal {proposal.id} {proposal.status}: {proposal.reason}"
    metric = proposal.metric
    values = [means.get(metric) for means in (proposal.figures, proposal.control)]
    mine, other = ("not measured" if value is None else quantity(metric, value) for value in values)
    return f"proposal {proposal.id} {proposal.status}: {metric} {mine}, control {other}"
