"""`task=run`: a queued experiment over the screening seeds beside its control, once or until stopped."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, final

from refusal import Refusal
from research.campaign.admission import Admission
from research.campaign.bench import Arm
from research.metrics import is_timed, quantity, untested
from research.store.claims import Lost
from research.store.queue import ProposalClaim, Queue
from research.tasks.answer import Answer, Reference, reference
from research.tasks.desk import Desk
from research.tasks.line import stoppable
from research.tasks.show import row_of
from research.types import Proposal, Record

POLL_S = 2.0


@final
class Experiment(Record):
    """One experiment that was run: screened figures beside the control's; screening claims nothing."""

    id: int
    status: str
    """screened or failed"""
    overrides: tuple[str, ...]
    reason: str | None
    metric: str
    seeds: tuple[int, ...]
    control: dict[str, float]
    """means over the screening seeds of the control"""
    figures: dict[str, float]
    """the same of the experiment"""
    trials: tuple[int, ...]


@final
class Ran(Answer):
    """What was run."""

    told: ClassVar[bool] = True

    experiments: tuple[Experiment, ...]
    left: int
    """experiments that are still queued"""

    def text(self) -> str:
        """One line for each, and what is left."""
        return "\n".join([*map(_line, self.experiments), f"queued     {self.left}"])


def execute(desk: Desk, id: int | str | None, daemon: bool) -> Ran:
    """Run one queued experiment, or with `daemon` all until SIGINT or SIGTERM.

    Raises `Refusal` for an experiment that is not there, not queued, or runs elsewhere, and for a control
    that cannot be run.
    """
    if daemon == (id is not None):
        raise Refusal(
            "task=run takes one of the two: id=experiment:3, or daemon=true for all that is queued."
        )
    desk.spend  # noqa: B018  a budget of zero is refused before anything is taken
    queue, store = Queue(desk.known), desk.known
    with stoppable():
        done = _all(desk, queue) if daemon else [_one(desk, queue, reference(id, "id", ("proposal",)))]
    answer = Ran(experiments=tuple(done), left=len(store.proposals(status="queued")))
    desk.lines.say(answer.text())
    return answer


def _one(desk: Desk, queue: Queue, wanted: Reference) -> Experiment:
    row = row_of(desk.known, wanted)
    taken = queue.take(wanted.number)
    if taken is None:
        status = "running in another process" if row["status"] == "running" else row["status"]
        raise Refusal(
            f"{wanted} is {status}: only what is queued is run; "
            "task=list what=experiments status=queued lists it."
        )
    return _held(desk, queue, taken)


def _all(desk: Desk, queue: Queue) -> list[Experiment]:
    """Take what is queued, and wait for more when nothing is, until interrupted."""
    done: list[Experiment] = []
    with suppress(KeyboardInterrupt):
        desk.lines.say("waiting for experiments: Ctrl-C ends it, and what runs goes back to the queue")
        while True:
            taken = queue.take()
            if taken is None:
                time.sleep(POLL_S)
                continue
            with suppress(Refusal, Lost):
                done.append(_held(desk, queue, taken))
    return done


def _held(desk: Desk, queue: Queue, taken: ProposalClaim) -> Experiment:
    """Run what was taken under its lease; interrupted, it goes back to the queue."""
    row = row_of(desk.known, Reference("proposal", taken.id))
    try:
        with queue.keep(taken):
            found = _screened(desk, row)
    except Refusal as refusal:
        queue.finish(taken, "failed", {"reasons": [str(refusal)]})
        desk.lines.say(f"experiment {taken.id} failed: {refusal}", style="yellow")
        raise
    except BaseException:
        with suppress(Lost):
            queue.give_back(taken)
        raise
    reasons = [found.reason] if found.reason else []
    queue.finish(taken, found.status, {"screened": list(found.trials), "reasons": reasons})
    return found


def _screened(desk: Desk, row: Mapping[str, Any]) -> Experiment:
    campaign, proposal = desk.of(row), Proposal.model_validate(row["proposal"])
    seeds, wanted = campaign.charter.screen.seeds, campaign.objective
    control = Arm((), "control", 0)
    arm = Arm(proposal.overrides, proposal.proposer, int(row["id"]))
    with campaign.running(campaign.charter.name, alone=is_timed(wanted.metric)) as run:
        workbench = campaign.bench(run)
        complaints = Admission(workbench, None, campaign.charter.review).gate(proposal.overrides)
        if complaints:
            raise Refusal(complaints[0])
        pairs = [(one, seed) for seed in seeds for one in (control, arm)]
        workbench.run(pairs, alone=is_timed(wanted.metric))
    reason = control.failed(seeds) or workbench.held(control, seeds)
    if reason:
        raise Refusal(f"The control cannot be run, so nothing can be compared: {reason}.")
    reason = arm.failed(seeds) or workbench.held(arm, seeds)
    return Experiment(
        id=int(row["id"]),
        status="failed" if reason else "screened",
        overrides=proposal.overrides,
        reason=reason,
        metric=wanted.metric,
        seeds=seeds,
        control=untested(workbench.means(control, seeds)),
        figures=untested(workbench.means(arm, seeds)),
        trials=tuple(arm.trials[seed] for seed in seeds if seed in arm.trials),
    )


def _line(one: Experiment) -> str:
    if one.reason:
        return f"experiment {one.id} {one.status}: {one.reason}"
    mine, other = (means.get(one.metric) for means in (one.figures, one.control))
    told = [quantity(one.metric, value) if value is not None else "not measured" for value in (mine, other)]
    return f"experiment {one.id} {one.status}: {one.metric} {told[0]}, control {told[1]}"
