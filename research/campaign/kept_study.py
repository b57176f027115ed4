"""The report of a recipe's experiment from its rows alone: nothing is run, whatever the code is by now."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaign.recipe import Study, counts, earlier
from research.report import study as report
from research.report.arms import Read
from research.stats.alpha import errors
from research.stats.arms import Arm, between
from research.stats.draws import shared
from research.stats.sentences import command
from research.stats.verdicts import ClaimVerdict, claim_word
from research.store.states import FAILED
from research.store.store import Store
from research.types import ProposalFacts

Row = Mapping[str, Any]


def write(store: Store, sprint: Row) -> Path:
    """Write the report of an experiment that was run to its verdicts; `sprint` is its row.

    Raises `Refusal` for rows of another version, and a folder that cannot be written.
    """
    try:
        study = Study.model_validate(sprint["facts"]["study"])
    except ValueError:
        again = "type its agent.py experiment=NAME again"
        raise Refusal(f"sprint:{sprint['id']} was kept by another version of joulelab: {again}.") from None
    arms = {" ".join(arm.overrides): arm for arm in _arms(store, sprint, study)}
    before = earlier((row for row in store.sprints() if row["id"] <= sprint["id"]), sprint["folder"], study)
    looks, folder = counts(before, study.seeds), Path(sprint["folder"])
    fixed = [str(one) for one in sprint["facts"]["fixed"]]
    base = f" base=[{','.join(fixed[1:])}]" if fixed[1:] else ""
    lines = [command([*fixed, *arm.overrides, *shared(arm.rows)], study.seeds) for arm in arms.values()]
    told = report.StudyReport(
        name=fixed[0].partition("experiment=")[2],
        question=study.question,
        claim=study.claim,
        metrics=study.metrics,
        seeds=study.seeds,
        alpha=study.alpha,
        timed=study.timed,
        arms=tuple(sorted(arms.values(), key=lambda arm: not arm.control)),
        verdicts=_verdicts(study, arms, looks),
        commands=(f"python agent.py {fixed[0]}{base}", *lines),
        failures=_failures(store, folder.name, study, arms.values()),
        left_out=tuple(arm.line for arm in study.arms if arm.line not in arms),
    )
    return report.write(told, store, folder)


def _arms(store: Store, sprint: Row, study: Study) -> list[Arm]:
    rows = store.proposals(sprint_id=sprint["id"])
    trials = {row["id"]: [one for one in ProposalFacts.of(row).confirmed if one is not None] for row in rows}
    read = Read(store, [number for own in trials.values() for number in own])
    own = {row["id"]: tuple(row["proposal"].overrides) for row in rows}
    return [
        read.arm(
            own[row["id"]],
            row["proposal"].proposer,
            "control" if " ".join(own[row["id"]]) == study.control else "ran",
            trials[row["id"]],
        )
        for row in rows
    ]


def _verdicts(study: Study, arms: Mapping[str, Arm], looks: Sequence[int]) -> tuple[ClaimVerdict, ...]:
    asked = study.comparisons(arms)
    alpha = study.alpha / max(1, len(asked))
    rate, found = errors(alpha).at(looks, None), []
    for claim, line, against in asked:
        own, sides = rate.among(len(claim.all)), (arms[against], arms[line])
        parts = tuple(between(part, *sides, own, study.seeds) for part in claim.all)
        found.append(ClaimVerdict(claim, line, against, claim_word(parts), parts, alpha))
    return tuple(found)


def _failures(store: Store, sweep: str, study: Study, arms: Any) -> tuple[tuple[int, str, str], ...]:
    """Seed, overrides and reason of each trial of an arm that has none."""
    failed = store.trials(sweep=sweep, status=FAILED)
    return tuple(
        (trial.seed, " ".join(arm.overrides), str(trial.reason))
        for arm in arms
        for trial in sorted(failed, key=lambda trial: trial.seed)
        if trial.seed in set(study.seeds) - set(arm.seeds) and {*arm.overrides} <= {*trial.overrides}
    )
