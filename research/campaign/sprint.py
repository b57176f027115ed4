"""One sprint of a campaign: discuss beside implementing, validate, each in its box, then a report.

Its steps depend on the charter and the store alone: the same command takes the same way at no further cost.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from research.campaign.admission import Admission
from research.campaign.asking import Proposers, in_turn
from research.campaign.bench import Run
from research.campaign.budget import Box, Timeboxes
from research.campaign.campaign import Campaign
from research.campaign.conclusions import Conclusions
from research.campaign.confirmation import Confirmation, claim
from research.campaign.control import baseline, control_arm, stopped_control, wanted_of
from research.campaign.discuss import Meeting, account
from research.campaign.judging import Finding, OwnClaims, Question, asked, digest_of_data, unkept
from research.campaign.model import Talk
from research.campaign.promotion import Promotion
from research.campaign.rows import Earlier, Rows, carried, earlier, rows_of
from research.campaign.screening import Screening
from research.campaign.steering import FILE, Steerable, Steering
from research.campaign.stopped_control import Shortest, told
from research.campaign.stopping import Worth
from research.propose.proposer import Proposer, represented
from research.report.campaign import leave
from research.stats.arms import Arm
from research.team.judges import Judges
from research.types import SprintFacts


@final
class Sprint:
    """One sprint; `run` may be called once."""

    def __init__(self, campaign: Campaign, run: Run, number: int = 1) -> None:
        """`run` runs jobs and yields outcomes; `number` counts from 1 in the campaign."""
        self._campaign, self._charter, self._store = campaign, campaign.charter, campaign.store
        self._number, self._notes = number, list[str]()
        self._screening: Screening | None = None
        self._meeting: Meeting | None = None
        self._talk = Talk(campaign.client)
        self._apart = campaign.client is None or campaign.client.computes_here  # on cores that train
        self._questions: Box = "discuss"
        spend = campaign.spend
        self._boxes = Timeboxes(self._charter.sprint.minutes, spend.clock, spend.left_s())
        self.folder = campaign.folder / f"sprint-{number}"
        self._rows_of = rows_of(self._store, self._charter.name)
        self._before = [row for at, row in sorted(self._rows_of.items()) if at < number]
        self._baseline = baseline(self._store, self._before, self._charter.goal.objective.metric)
        self._question: Question | None = None
        self._proposers: Proposers | None = None
        self._shortest: Shortest | None = None
        self._known = SprintFacts.of(self._rows_of.get(number) or {"facts": {}})
        """what an earlier run of this sprint has written down"""
        names, said = Steerable(campaign.space.vocabulary()), self._known.steered
        self._steering = Steering(campaign.folder / FILE, names, said, self._heard)
        self.id = self._opened()
        opened = next(row["created"] for row in self._store.sprints() if row["id"] == self.id)
        self.bench = campaign.bench(self._talk.beside(run), opened)
        self.bench.boxes = self._boxes

    @property
    def done(self) -> bool:
        """Whether it was finished before: then it is taken as it is."""
        return (self._rows_of.get(self._number) or {}).get("status") == "done"

    def run(self, proposers: Sequence[Proposer], control: Sequence[Proposer] = ()) -> Path:
        """Run the sprint until its boxes or the budget end, and return the path of its report.

        `control` are other objects of the same sources: with a model among `proposers` its control lane.
        Raises `Refusal` where the control cannot be run, or does not measure what the goal asks for. Ctrl-C
        goes through when the report of what is done is written.
        """
        if self.done:
            return leave(self._store, self.id, self.folder)
        self._proposers = in_turn(proposers, control, self._charter.shares, self._charter.seed)
        try:
            self._research(self._proposers)
        except KeyboardInterrupt:
            self._notes.append("interrupted: the same command continues")
            self._close("interrupted")
            raise
        except BaseException:
            self._store.set_sprint(self.id, "failed", self._facts())
            raise
        return self._close("done")

    def _opened(self) -> int:
        """The sprint's row: the one that an earlier run of this command has left, else a new one."""
        row = self._rows_of.get(self._number)
        if row is None:
            objective, folder = self._charter.goal.objective.model_dump(mode="json"), str(self.folder)
            goal, facts = self._charter.goal.text, self._facts()
            return self._store.add_sprint(goal, objective=objective, folder=folder, facts=facts)
        if row["status"] != "done":
            self._store.set_sprint(row["id"], "running")
        return int(row["id"])

    def _close(self, status: str) -> Path:
        self._store.set_sprint(self.id, status, self._facts())
        return leave(self._store, self.id, self.folder)

    def _facts(self) -> dict[str, Any]:
        """What the report needs beside the rows of experiments, trials and insights."""
        campaign, who = self._campaign, self._proposers
        pruned, meeting = self._screening.pruned if self._screening else {}, self._meeting
        more: dict[str, Any] = {} if self._question is None else self._question.facts()
        more |= {"pruned": pruned} if pruned else {}
        more |= {"worthless": why} if self._screening and (why := self._screening.worth.over) else {}
        more |= {"steered": since} if (since := self._steering.since) else {}
        more |= {"team": campaign.team.facts()} if campaign.team else {}
        more |= {"literature": campaign.library.facts()} if campaign.library else {}
        facts = SprintFacts(
            campaign=self._charter.name,
            number=self._number,
            charter=self._charter.model_dump(mode="json"),
            notes=tuple(dict.fromkeys([*(meeting.notes if meeting else ()), *self._notes])),
            seconds=campaign.spend.seconds,
            spent={one.name: spent for one in who.all if (spent := one.spent())} if who else {},
            boxes=self._boxes.facts(),
            turns=who.facts() if who else {},
            predicted=dict(campaign.memory.counts()),
            plan=meeting.plan if meeting else {},
            baseline=self._baseline.model_dump(mode="json"),
            shortest=self._shortest.model_dump(mode="json") if self._shortest else None,
            memory=campaign.memory.facts(),
            **more,
        )
        return facts.written()

    def _asked(self) -> Question:
        """The question of this campaign, with all that was ever compared for it in this database."""
        charter, space, store = self._charter, self.bench.space, self._store
        key = asked(space, charter.goal.objective.model_dump(), charter.fixed, charter.quiet)
        data = digest_of_data(self.bench.config((), 0))
        before = unkept(space, store.sprints(), key)
        place = f"{charter.name} {self._number}"
        return Question(store, key, charter.alpha, place, data, before)

    def _research(self, who: Proposers) -> None:
        charter, bench = self._charter, self.bench
        left = earlier(self._store, self._before, bench, charter.screen.seeds, charter.confirm.looks)
        rows, doubted = Rows(self._store, self.id), self._campaign.recall.doubted
        admission = Admission(bench, rows, charter.review, self._trains_s, doubted, self._outside)
        client = self._campaign.client
        admission.lanes = who.lanes
        judges = Judges(None, None, lambda phase: (), admission.complaints)
        bill = account(self._campaign, who.queue, self._store, self.id)
        worth = Worth(charter.search, charter.goal.objective.metric, who.bandits)
        given = (charter.screen, worth, charter.goal.text, judges, bill, self._talk, self._steering)
        screening = self._screening = Screening(bench, admission, who, *given)
        screening.asked, screening.early.allowed = self._campaign.objective, not self._apart
        with self._talk:
            if who.queue is not None and client is not None:
                client.left_s = self._asks_s
                self._talk.prepare()  # while the trials' processes import, before the first of them trains
            control, stopped, contenders = self._implemented(screening, admission, left, who)
            self._questions = "validate"
            with self._box("validate"):
                self._confirmed(control, contenders, stopped)

    def _implemented(
        self, screening: Screening, admission: Admission, left: Earlier, who: Proposers
    ) -> tuple[Arm, Arm | None, list[Arm]]:
        """Controls, screening and promotion, while the team talks: the two controls and the contenders."""
        charter, bench, rows = self._charter, self.bench, admission.rows
        self._notes += charter.notes
        with self._box("implement"):
            control = control_arm(charter, bench, rows, self._baseline)
            self._talk.over()
            admission.objective = wanted_of(charter, bench, control, self._notes, self._before)
            screening.open(control, left)
            self._meet(screening, admission, left, who)
            self._shortest, stopped = stopped_control(
                charter, bench, rows, control, screening.objective, self._before
            )
            # Where a person has fixed the length, proposals cannot follow a control that is stopped.
            beside = stopped if charter.turns_length else None
            screening.start(beside)
            promotion = Promotion(charter, bench, control, self._judged(), beside)
            screening.run(promotion.short)
            self._heard(screening.asking.told())
            contenders = self._contenders(screening, promotion, left, rows)
        self._notes += [told(self._shortest, screening.objective)] if self._shortest else []
        self._notes += [*screening.notes, *promotion.notes, *screening.busy]
        return control, stopped, contenders

    def _meet(self, screening: Screening, admission: Admission, left: Earlier, who: Proposers) -> None:
        """Promise the team its turns, and let it talk about them."""
        queue, box = who.queue, self._boxes.open
        if queue is None or self._campaign.team is None:
            return
        meeting = self._meeting = Meeting(self._campaign, screening, admission, queue, self._talk)
        meeting.recall(self._known, left)
        queue.asking = lambda: None if screening.early.discussing else box("discuss")
        screening.promised = max(queue.accepted, meeting.payable(len(who.bandits)))
        if self._steering.look(0):
            return
        screening.brief = self._number < self._charter.sprint.count
        meeting.convene(screening.promised, box("discuss"), self._keep)

    def _outside(self, overrides: Sequence[str]) -> list[str]:
        """What of a proposal belongs to another field, or is not what the person wants."""
        return [*self._campaign.scope.outside(overrides), *self._steering.outside(overrides)]

    def _heard(self, news: list[str]) -> None:
        """Tell and write down what the person has said."""
        for sentence in news:
            self._campaign.lines.say(sentence, style="yellow")
        self._notes += news
        self._keep()

    def _keep(self) -> None:
        """Write down how far it is: what was discussed is not discussed again."""
        self._store.set_sprint(self.id, "running", self._facts())

    def _contenders(self, screening: Screening, promotion: Promotion, left: Earlier, rows: Rows) -> list[Arm]:
        """Who is confirmed: the best that were promoted, in the last sprint also the stopped control."""
        wanted, charter = screening.objective, self._charter
        best = self._unsettled(screening.best(charter.confirm.margin or 0.0), left)
        best = represented(best, charter.promote.arms)
        more = self._number < charter.sprint.count and promotion.payable()
        best = promotion.worth(best, wanted, more)
        promoted = promotion.run(carried(best, left, rows), wanted, more)
        return promoted[: charter.confirm.arms] + ([] if more else promotion.shorter(wanted))

    def _judged(self) -> int:
        """Contenders that the sprints before this one have judged."""
        return sum(len(self._store.insights(sprint_id=row["id"])) for row in self._before)

    def _trains_s(self) -> float:
        return min(self._campaign.spend.left_s(), self._boxes.left_of("implement"))

    def _asks_s(self) -> float:
        over = self._talk.on and self._talk.ending
        return 0.0 if over else min(self._campaign.spend.left_s(), self._boxes.left_of(self._questions))

    @contextmanager
    def _box(self, name: Box) -> Iterator[None]:
        """Open a box in which trials run, and end with it."""
        with self._boxes.open(name):
            self.bench.until = self._boxes.until()
            yield
        self.bench.until = None

    def _unsettled(self, arms: Sequence[Arm], left: Earlier) -> list[Arm]:
        """Arms without a verdict, each configuration once: both lanes may have found it."""
        first: dict[str, Arm] = {}
        for arm in arms:
            first.setdefault(str(arm.facts.get("signature")), arm)
        return [arm for signature, arm in first.items() if signature not in left.settled]

    def _confirmed(self, control: Arm, contenders: Sequence[Arm], stopped: Arm | None) -> None:
        """Confirm contenders one after another until one is supported."""
        charter, bench = self._charter, self.bench
        goal = charter.goal
        known = bench.means(control, charter.promote.seeds)
        claimed = claim(goal.objective, goal.smallest_effect, known, confirmed=self._baseline.confirmed)
        held = stopped if claimed.first.metric == goal.objective.metric else None
        conclusions = self._conclusions()
        self._question = self._asked()
        confirmation = Confirmation(bench, charter.confirm, self._question, charter.seed)
        findings: list[Finding] = []
        for arm in contenders:
            finding = confirmation.judge(control, arm, claimed, held)
            findings.append(finding)
            self._talk.over()
            written = conclusions.keep(control, finding, held)
            # Its words decide nothing, so trainings need not wait for them.
            written() if self._apart else self._talk.begin(written)
            if finding.verdict.word == "supported":
                break
        own = OwnClaims(bench, charter.confirm, self._question)
        arms = self._screening.arms if self._screening else []
        own.judge(self._store.proposals(sprint_id=self.id), control, findings, arms)
        self._talk.over()
        self._notes += [*conclusions.notes, *own.notes]

    def _conclusions(self) -> Conclusions:
        campaign, lessons = self._campaign, self._campaign.recall.lessons
        unheld = self._shortest is not None and self._shortest.unknown is not None
        told = (campaign.team, lambda: lessons("evaluation"), campaign.discovered, unheld)
        return Conclusions(self._charter, self.bench, self.id, *told)
