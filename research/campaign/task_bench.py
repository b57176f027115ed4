"""A campaign's bench for a single task: the charter that is agreed on, and what runs its trials."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from refusal import Refusal
from research.campaign.bench import Arm, Bench
from research.campaign.budget import Spend
from research.campaign.charter import Charter, charter
from research.metrics import screening_objective
from research.tasks.answer import Reference
from research.tasks.desk import Desk
from research.tasks.show import row_of

if TYPE_CHECKING:
    from research.campaign.bench import Run
    from research.run.runner import Outcome


def agreed(desk: Desk) -> Charter:
    """The charter of what was asked. Raises `Refusal` for a goal that is not understood."""
    return charter(desk.asked, desk.conf, desk.asked["proposer"]["shares"])


def charter_of(desk: Desk, row: Mapping[str, Any]) -> Charter:
    """The charter that the experiment was proposed under; the present one where none was kept.

    Raises `Refusal` for one that another version kept.
    """
    kept = row["facts"].get("charter")
    if kept is None and row["sprint_id"] is not None:
        kept = row_of(desk.known, Reference("sprint", row["sprint_id"]))["facts"].get("charter")
    if kept is None:
        return agreed(desk)
    try:
        return Charter.model_validate(kept)
    except ValidationError:
        raise Refusal(
            f"experiment {row['id']} was queued by another version of joulelab: suggest it again."
        ) from None


def spend(desk: Desk) -> Spend:
    """What may be spent. Raises `Refusal` for a budget of zero."""
    return Spend(**{name: desk.config["budget"][name] for name in ("trials", "seconds", "joules")})


def bench(desk: Desk, found: Charter, run: "Run") -> Bench:
    """What runs the arms of a charter, telling each trial in a line."""
    wanted = screening_objective(found.goal.objective)
    desk.lines.shown = (wanted.metric, *(bound.metric for bound in wanted.constraints))
    made: Bench | None = None

    def ended(arm: Arm, seed: int, outcome: "Outcome") -> None:
        result = made.result(outcome.trial_id) if made and outcome.ok else None
        metrics: dict[str, Any] = result.metrics if result else {}
        desk.lines.trial(arm.overrides, arm.proposer, seed, outcome.status, metrics, outcome.reason)

    made = Bench(
        space=desk.space,
        store=desk.store,
        run=run,
        spend=spend(desk),
        fixed=found.fixed,
        quiet=found.quiet,
        harness={"store": desk.config["store"], "root": desk.config["root"]},
        sweep=found.name,
        report=ended,
        fresh=found.confirm.first_seed,
        watched=(wanted.metric, *(bound.metric for bound in wanted.constraints)),
    )
    return made
