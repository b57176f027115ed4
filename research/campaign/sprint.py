"""One sprint of a campaign: discuss, implement, validate, each in its time box, then a folder and a report.

Every figure that decides is read from the store, and what runs is the same path as `train.py`. The steps
depend on the charter and the store only, so the same command typed again takes the same way: what is known
costs nothing, what is missing is run, and no row is written twice. A sprint that is done is taken as it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from research.campaign.admission import Admission
from research.campaign.bench import Arm, Bench, Run
from research.campaign.budget import Boxes, Spend
from research.campaign.charter import Charter
from research.campaign.confirmation import Confirmation, claim
from research.campaign.control import baseline, control_arm, stopped_control, wanted_of
from research.campaign.council import Equipment, evidence
from research.campaign.promotion import Promotion
from research.campaign.question import Question, asked, digest_of_data, unkept
from research.campaign.rows import Earlier, Row, Rows, earlier, rows_of
from research.campaign.screening import Screening
from research.campaign.stopped_control import Shortest, told
from research.metrics import screening_objective
from research.propose.proposer import Proposer
from research.report.folder import leave
from research.run.lines import Lines
from research.run.runner import Outcome
from research.space.gate import Space
from research.store.store import Store
from research.team.discussion import Queued
from research.team.judges import Judges
from research.team.lineup import Lineup, lineup


@final
class Sprint:
    """One sprint; `run` may be called once."""

    def __init__(
        self,
        charter: Charter,
        *,
        space: Space,
        store: Store,
        run: Run,
        spend: Spend,
        root: Path,
        harness: dict[str, Any],
        lines: Lines,
        number: int = 1,
        equipment: Equipment | None = None,
    ) -> None:
        """`run` runs jobs and yields outcomes; `harness` are root keys of a trial that change no result.

        `number` counts from 1 in the campaign; `equipment` is who else has a say: team, memory, recipes.
        """
        self._charter, self._store, self._spend, self._lines = charter, store, spend, lines
        self._number, self._equipment = number, equipment or Equipment()
        self._notes, self._plan = list[str](), dict[str, Any]()
        self._screening: Screening | None = None
        self._boxes = Boxes(charter.sprint.minutes, spend.clock, spend.left_s())
        self.folder = root / "agent" / charter.name / f"sprint-{number}"
        self._rows_of = rows_of(store, charter.name)
        self._baseline = baseline(store, self._before(), charter.goal.objective.metric)
        self._question: Question | None = None
        self._lineup: Lineup | None = None
        self._shortest: Shortest | None = None
        self._admission: Admission | None = None
        self.id = self._opened()
        self._bench = Bench(
            space=space,
            store=store,
            run=run,
            spend=spend,
            fixed=charter.fixed,
            quiet=charter.quiet,
            harness=harness,
            sweep=charter.name,
            report=self._ended,
            fresh=charter.confirm.first_seed,
            watched=[
                charter.goal.objective.metric,
                *(one.metric for one in charter.goal.objective.constraints),
            ],
            opened=next(row["created"] for row in store.sprints() if row["id"] == self.id),
        )
        watched = screening_objective(charter.goal.objective)
        lines.shown = tuple(dict.fromkeys([watched.metric, *(bound.metric for bound in watched.constraints)]))

    @property
    def done(self) -> bool:
        """Whether it was finished before: then it is taken as it is."""
        row = self._rows_of.get(self._number)
        return row is not None and row["status"] == "done"

    def run(self, proposers: Sequence[Proposer], control: Sequence[Proposer] = ()) -> Path:
        """Run the sprint until its boxes or the budget end, and return the path of its report.

        `control` are other objects of the same sources: with a model among `proposers` they are its control
        lane.

        Raises:
            Refusal: the control cannot be run, or does not measure what the goal asks for.
            KeyboardInterrupt: it was interrupted; the report of what is done was written before.
        """
        if self.done:
            return leave(self._store, self.id, self.folder)
        self._lineup = lineup(proposers, control, self._charter.shares, self._charter.seed)
        wrapped = self._lineup.proposers
        try:
            self._research(self._lineup)
        except KeyboardInterrupt:
            self._notes.append("interrupted: the same command continues")
            self._close("interrupted", wrapped)
            raise
        except BaseException:
            self._store.set_sprint(self.id, "failed", self._facts(wrapped))
            raise
        return self._close("done", wrapped)

    def _opened(self) -> int:
        """The sprint's row: the one that an earlier run of this command has left, else a new one."""
        row = self._rows_of.get(self._number)
        if row is None:
            asked, folder = self._charter.goal.objective.model_dump(mode="json"), str(self.folder)
            goal, facts = self._charter.goal.text, self._facts([])
            return self._store.add_sprint(goal, objective=asked, folder=folder, facts=facts)
        if row["status"] != "done":
            self._store.set_sprint(row["id"], "running")
        return int(row["id"])

    def _close(self, status: str, proposers: Sequence[Proposer]) -> Path:
        self._store.set_sprint(self.id, status, self._facts(proposers))
        return leave(self._store, self.id, self.folder)

    def _facts(self, proposers: Sequence[Proposer]) -> dict[str, Any]:
        """What the report needs beside the rows of experiments, trials and insights."""
        return {
            "campaign": self._charter.name,
            "number": self._number,
            "charter": self._charter.model_dump(mode="json"),
            "notes": list(dict.fromkeys(self._notes)),
            "seconds": self._spend.seconds,
            "spent": {one.name: spent for one in proposers if (spent := one.spent())},
            "boxes": self._boxes.facts(),
            "turns": dict(self._lineup.turns.facts()) if self._lineup else {},
            **self._compared(),
            "predicted": dict(self._equipment.predicted()),
            "plan": self._plan,
            "baseline": self._baseline.model_dump(mode="json"),
            "shortest": self._shortest.model_dump(mode="json") if self._shortest else None,
            **self._pruned(),
            **self._equipment.facts(),
        }

    def _compared(self) -> dict[str, Any]:
        """What came out of this sprint's comparisons, and the question that they are of."""
        found = self._question
        return {"question": found.key, "comparisons": list(found.words)} if found else {}

    def _asked(self) -> Question:
        """The question of this campaign, with all that was ever compared for it in this database."""
        charter, space, store = self._charter, self._bench.space, self._store
        key = asked(space, charter.goal.objective.model_dump(), charter.fixed, charter.quiet)
        data = digest_of_data(self._bench.config((), 0))
        before = unkept(space, store.sprints(), key)
        place = f"{charter.name} {self._number}"
        return Question(store, key, charter.alpha, place, data, before)

    def _pruned(self) -> dict[str, Any]:
        stopping = self._screening.stopping if self._screening else None
        return {"pruned": stopping.facts()} if stopping else {}

    def _research(self, who: Lineup) -> None:
        charter, bench = self._charter, self._bench
        left = earlier(self._store, self._before(), bench, charter.screen.seeds, charter.confirm.looks)
        rows = Rows(self._store, self.id)
        admission = self._admission = Admission(
            bench, rows, charter.review, self._left_s, self._equipment.doubted, self._equipment.outside
        )
        if who.queue is not None:
            self._equipment.prepare()
        with self._box("implement"):
            control = control_arm(charter, bench, rows, self._baseline)
            admission.objective = wanted = wanted_of(charter, bench, control, self._notes, self._before())
            self._shortest, stopped = stopped_control(
                charter, bench, rows, control, wanted, self._before(), self._boxes.half
            )
        if self._shortest:
            self._notes.append(told(self._shortest, wanted))
        # Where a person has fixed the length, proposals cannot follow a control that is stopped.
        beside = stopped if charter.turns_length else None
        admission.lanes = who.lanes
        judges = Judges(None, None, lambda phase: (), admission.complaints)
        bill = self._equipment.bill(self._store, self.id, rows.before, who.queue)
        screening = Screening(bench, admission, who, charter.screen, charter.goal.text, judges, bill)
        screening.start(control, left, beside)
        self._screening = screening
        with self._box("discuss"):
            self._discuss(screening, admission, left, who.queue)
        with self._box("implement"):
            promotion = Promotion(charter, bench, self._boxes, control, self._judged(), beside)
            screening.run(promotion.short)
            best = self._unsettled(screening.best(len(screening.arms)), left)
            more = self._number < charter.sprint.count and promotion.payable()
            best = promotion.worth(best, wanted, more)
            contenders = promotion.run(self._carried(best, left, rows), wanted, more)
            contenders = contenders[: charter.confirm.arms] + ([] if more else promotion.shorter(wanted))
        self._notes += [*screening.notes, *promotion.notes, *screening.busy]
        with self._box("validate"):
            self._confirmed(control, contenders, stopped)

    def _before(self) -> list[Any]:
        return [row for number, row in sorted(self._rows_of.items()) if number < self._number]

    def _judged(self) -> int:
        """Contenders that the sprints before this one have judged."""
        return sum(len(self._store.insights(sprint_id=row["id"])) for row in self._before())

    def _left_s(self) -> float:
        return min(self._spend.left_s(), self._boxes.left_s())

    def _box(self, name: Any) -> Any:
        return self._equipment.boxed(self._boxes, name, self._bench)

    def _discuss(
        self, screening: Screening, admission: Admission, left: Earlier, queue: Queued | None
    ) -> None:
        """Fill the queue: with what waits already, and with what the team agrees on unless it has before."""
        council = self._equipment.council
        if queue is None or council is None or not council.team.speaks:
            return
        waiting = admission.rows.accepted(queue.name) or self._taken_over(left, admission.rows)
        for row in waiting:
            admission.reserve(row["id"], row["proposal"], row["facts"])
        queue.put(row["proposal"] for row in waiting)
        if len(waiting) < council.count:
            cited = evidence(self._store)
            proposals, found = council.convene(screening, admission, cited)
            queue.put(proposals)
            self._plan = {**found.plan, "remarks": found.remarks} if found.plan else {}
            self._notes += found.notes

    def _taken_over(self, left: Earlier, rows: Rows) -> list[Row]:
        """What waits from earlier sprints, each in a row of this one."""
        found: list[Row] = []
        for row in left.queued:
            facts = row["facts"] | {"carried": row["id"]}
            number = rows.open(row["proposal"], "queued", facts)
            why = [f"it waits on as experiment {number} of the next sprint"]
            self._store.set_proposal(row["id"], "dropped", row["facts"] | {"reasons": why})
            found.append({"id": number, "proposal": row["proposal"], "facts": facts})
        return found

    def _unsettled(self, arms: Sequence[Arm], left: Earlier) -> list[Arm]:
        """Arms without a verdict, each configuration once: both lanes may have found it."""
        found: dict[str, Arm] = {}
        for arm in arms:
            found.setdefault(str(arm.facts.get("signature")), arm)
        return [arm for signature, arm in found.items() if signature not in left.settled]

    def _carried(self, best: Sequence[Arm], left: Earlier, rows: Rows) -> list[Arm]:
        """The best arms, those of earlier sprints in rows of this one."""
        found = []
        for arm in best:
            proposal = left.proposals.get(arm.proposal_id)
            if proposal is not None:
                facts = {**arm.facts, "carried": arm.proposal_id}
                facts.pop("asked", None)  # its own sprint has paid the model for it
                number = rows.open(proposal, "promoted", facts)
                arm = Arm(arm.overrides, arm.proposer, number, dict(arm.trials), facts=dict(facts))
            found.append(arm)
        return found

    def _confirmed(self, control: Arm, contenders: Sequence[Arm], stopped: Arm | None) -> None:
        """Confirm contenders one after another until one is supported."""
        charter, bench = self._charter, self._bench
        goal = charter.goal
        known = bench.means(control, charter.promote.seeds)
        claimed = claim(goal.objective, goal.smallest_effect, known, confirmed=self._baseline.confirmed)
        held = stopped if claimed.first.metric == goal.objective.metric else None
        unheld = self._shortest is not None and self._shortest.unknown is not None
        conclusions = self._equipment.conclusions(charter, bench, self.id, unheld)
        self._question = self._asked()
        confirmation = Confirmation(bench, charter.confirm, self._question, charter.seed, self._boxes.short)
        for arm in contenders:
            finding = confirmation.judge(control, arm, claimed, held)
            conclusions.keep(control, finding, held)
            if finding.verdict.word == "supported":
                break
        self._notes += conclusions.notes

    def _ended(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        found = self._bench.result(outcome.trial_id) if outcome.ok else None
        metrics = found.metrics if found else {}
        self._lines.trial(arm.overrides, arm.proposer, seed, outcome.status, metrics, outcome.reason)
