"""Campaigns on a small task with known answers, through real rows of a real store."""

import io
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from refusal import Refusal
from research import identity
from research.charter import Charter, Promote
from research.confirm import Confirm, tightened
from research.goal import Goal
from research.proposers.proposer import Proposer, Seen, State
from research.proposers.random import Random
from research.proposers.tpe import Tpe
from research.report.findings import Findings
from research.report.lines import Lines
from research.runner import Job, Outcome
from research.screening import Screen
from research.space import Space
from research.spend import Spend
from research.sprint import Sprint
from research.store import Known, Store
from research.types import Constraint, Objective, Proposal

CONF = {
    "train.yaml": "defaults: [{data: digits}, {model: mlp}, {optimizer: adamw}]\nseed: 0\n"
    "budget: {steps: 400}\ntrainer: {accelerator: cpu}\nnoise: 1.0\nstore: {url: x}\nroot: runs\n",
    "data/digits.yaml": "packages: []\n",
    "model/mlp.yaml": "width: 128\n",
    "optimizer/adamw.yaml": "lr: 0.001\n",
    "optimizer/lion.yaml": "lr: 0.0003\n",
    "space.yaml": """root: train
groups: {optimizer: {}}
keys:
  model.width: {type: int, low: 4, high: 512, scale: log}
  optimizer.lr: {type: float, low: 1e-5, high: 0.1, scale: log, per: {lion: {high: 0.01}}}
  budget.steps: {type: int, low: 20, high: 2000, scale: log}
inert: [store, root]
""",
}
Task = Callable[[dict, random.Random], dict[str, float]]


def learning(config: dict, rng: random.Random) -> dict[str, float]:
    """Accuracy saturates in steps x lr, joules grow with steps x width: fewer steps at a higher rate win."""
    steps, lr, width = config["budget"]["steps"], config["optimizer"]["lr"], config["model"]["width"]
    if lr > 0.05:
        raise ArithmeticError("diverged: the loss is nan at step 3")
    share = 1 - math.exp(-steps * min(lr, 0.01) * 12) * 0.9
    accuracy = 0.97 * share * (1 - 0.5 / width) + rng.gauss(0, 0.004) * config["noise"]
    joules = (2 + steps * (20 + width) / 3000) * (1 + rng.gauss(0, 0.02) * config["noise"])
    return {
        "val/accuracy": accuracy,
        "test/accuracy": accuracy + rng.gauss(0, 0.002) * config["noise"],
        "train/energy_j": joules,
        "size/parameters": float(64 * width),
        "infer/latency_s_p50": 1e-5 * width,
    }


def flat(config: dict, rng: random.Random) -> dict[str, float]:
    """Nothing makes any difference but the seed."""
    accuracy = 0.9 + rng.gauss(0, 0.01)
    return {
        "val/accuracy": accuracy,
        "test/accuracy": accuracy,
        "train/energy_j": 10 * math.exp(rng.gauss(0, 0.1)),
        "size/parameters": 640.0,
    }


class Lab:
    """A space, a store and a way of running jobs in this process; `ran` are the seeds that were computed."""

    def __init__(self, folder: Path, task: Task = learning) -> None:
        for name, content in CONF.items():
            path = folder / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.folder, self.task = folder, task
        self.space = Space(folder / "conf", folder / "conf" / "space.yaml")
        self.store = Store(f"sqlite:///{folder / 'lab.db'}")
        self.ran: list[tuple[str, ...]] = []
        self.batches: list[int] = []
        self.interrupt_after: int | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        self.batches.append(len(jobs))
        for job in jobs:
            if self.interrupt_after is not None and len(self.ran) >= self.interrupt_after:
                raise KeyboardInterrupt
            yield self.one(job)

    def one(self, job: Job) -> Outcome:
        signature = self.space.signature(job.config)
        key = identity.key(job.config, signature)
        asked = {"config": job.config, "overrides": job.overrides, "seed": job.config["seed"]}
        got = self.store.claim(key, **asked, sweep=job.sweep, source=job.source)
        if isinstance(got, Known):
            return Outcome(job, "known", trial_id=got.trial.id)
        self.ran.append(tuple(job.overrides))
        try:
            metrics = self.task(job.config, random.Random(signature))
        except ArithmeticError as error:
            self.store.fail(got, str(error))
            return Outcome(job, "failed", str(error), wall_s=1.0)
        self.store.finish(got, metrics, {"energy_method": "estimated", "scored": 360})
        return Outcome(job, "done", trial_id=got.trial_id, wall_s=1.0)

    def charter(self, objective: Objective, **changed) -> Charter:
        goal = Goal(text="a test goal", objective=objective)
        stages = {"screen": Screen(turns=10), "promote": Promote(arms=2), "confirm": Confirm()}
        shares = {"random": 0.3, "tpe": 0.7, "scripted": 1.0}
        return Charter(goal=goal, fixed=("data=digits",), shares=shares, **{**stages, **changed})

    def sprint(self, charter: Charter, spend: Spend | None = None, harness: dict | None = None) -> Sprint:
        from rich.console import Console

        self.told = Console(record=True, width=200, file=io.StringIO())
        return Sprint(
            charter,
            space=self.space,
            store=self.store,
            run=self.run,
            spend=spend or Spend(),
            root=self.folder / "runs",
            harness=harness or {"root": str(self.folder)},
            lines=Lines(self.told),
        )

    def proposers(self, charter: Charter) -> list[Proposer]:
        given = (self.space.vocabulary(), charter.fixed, charter.seed)
        return [Random(*given), Tpe(*given)]

    def campaign(self, charter: Charter, proposers: list[Proposer] | None = None, **options) -> Findings:
        sprint = self.sprint(charter, **options)
        sprint.run(self.proposers(charter) if proposers is None else proposers)
        return Findings(self.store, sprint.id)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Memory where there is some: a campaign commits hundreds of rows, each of which a disk would sync."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def lab(folder: Path) -> Iterator[Lab]:
    made = Lab(folder)
    yield made
    made.store.close()


def energy(floor: float | None = 0.9) -> Objective:
    kept = () if floor is None else (Constraint(metric="test/accuracy", op=">=", bound=floor),)
    return Objective(metric="train/energy_j", direction="min", constraints=kept)


class Scripted(Proposer):
    """Proposes what it is given, then nothing; keeps what it is told."""

    name = "scripted"

    def __init__(self, *lines: str) -> None:
        self.left = [tuple(line.split()) for line in lines]
        self.told: list[Seen] = []
        self.states: list[State] = []

    def ask(self, state: State) -> Proposal | None:
        self.states.append(state)
        if not self.left:
            return None
        return Proposal(hypothesis="h", overrides=self.left.pop(0), proposer=self.name)

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        self.told.append(seen)


def test_a_campaign_finds_confirms_and_writes_down_what_saves_energy(lab: Lab) -> None:
    found = lab.campaign(lab.charter(energy()))
    assert [one.verdict.word for one in found.insights][-1] == "supported"
    insight = found.insights[-1]
    assert insight.verdict.comparison.high < 0 and insight.verdict.comparison.n >= 5
    assert "estimate" in insight.claim and "keeping test/accuracy >= 0.9" in insight.claim
    control, winner = found.arms("confirmed")[0], found.arms("confirmed")[-1]
    assert control.status == "control" and winner.status == "supported"
    assert winner.of("train/energy_j").mean < control.of("train/energy_j").mean
    assert winner.of("test/accuracy").mean >= 0.9


def test_the_winner_is_confirmed_on_seeds_that_chose_nothing(lab: Lab) -> None:
    found = lab.campaign(lab.charter(energy()))
    looked = {seed for arm in found.arms("screened") + found.arms("promoted") for seed in arm.seeds}
    fresh = {seed for arm in found.arms("confirmed") for seed in arm.seeds}
    assert looked == {0, 1, 2, 3} and len(fresh) >= 5 and not looked & fresh
    trials = lab.store.trials(ids=found.insights[-1].verdict.trial_ids)
    assert {trial.seed for trial in trials} == fresh and len(trials) == 2 * len(fresh)


def test_timed_figures_are_confirmed_one_at_a_time_with_the_arms_interleaved(lab: Lab) -> None:
    lab.campaign(lab.charter(energy()))
    first = next(place for place, line in enumerate(lab.ran) if "seed=1000" in line)
    assert set(lab.batches[-10:]) == {1}
    seeds = [line[-1] for line in lab.ran[first : first + 10]]
    assert seeds[::2] == seeds[1::2]  # neighbours are the two arms of one seed
    orders = [len(line) for line in lab.ran[first : first + 10 : 2]]
    assert len(set(orders)) > 1, "which arm comes first is by lot"


def test_exact_figures_may_be_confirmed_side_by_side(lab: Lab) -> None:
    smaller = Objective(metric="size/parameters", direction="min", constraints=energy().constraints)
    found = lab.campaign(lab.charter(smaller), [Scripted("model.width=64")])
    assert found.insights[-1].verdict.word == "supported" and 10 in lab.batches


def test_proposers_see_no_test_figure(lab: Lab) -> None:
    scripted = Scripted("model.width=64", "model.width=32")
    lab.campaign(lab.charter(energy()), [scripted])
    shown = [*scripted.told, *(seen for state in scripted.states for seen in (state.control, *state.seen))]
    assert shown and not [key for seen in shown for key in seen.metrics if key.startswith("test/")]


def test_nothing_is_found_where_nothing_differs(folder: Path) -> None:
    words = []
    for seed in range(3):
        lab = Lab(folder / str(seed), flat)
        charter = lab.charter(energy(None), seed=seed, screen=Screen(turns=4))
        words += [
            one.verdict.word
            for one in lab.campaign(charter, [Random(lab.space.vocabulary(), (), seed)]).insights
        ]
        lab.store.close()
    assert "supported" not in words


def test_a_broken_bound_is_never_supported(lab: Lab) -> None:
    found = lab.campaign(lab.charter(energy(0.9)), [Scripted("budget.steps=100")])
    assert not found.insights  # the screening already saw that 100 steps do not reach the floor
    assert any("no proposal beat the control" in note for note in found.facts["notes"])


def test_where_the_control_breaks_the_bound_the_claim_is_the_bound(lab: Lab) -> None:
    charter = lab.charter(energy(0.9)).model_copy(update={"fixed": ("data=digits", "budget.steps=150")})
    found = lab.campaign(charter, [Scripted("optimizer.lr=0.01")])
    claim = found.insights[-1]
    assert claim.verdict.word == "supported" and claim.verdict.comparison.metric == "test/accuracy"
    assert "the control breaks this bound" in claim.claim


def test_the_same_command_typed_again_trains_nothing_and_says_the_same(lab: Lab) -> None:
    charter = lab.charter(energy())
    first = lab.campaign(charter)
    ran = len(lab.ran)
    again = lab.campaign(charter)
    assert len(lab.ran) == ran
    assert [one.claim for one in again.insights] == [one.claim for one in first.insights]
    assert again.cost().trials == first.cost().trials == ran - first.cost().failed


def test_repeats_are_counted_and_asked_again(lab: Lab) -> None:
    scripted = Scripted("model.width=64", "model.width=64", "model.width=128", "model.width=32")
    found = lab.campaign(lab.charter(energy()), [scripted])
    assert found.counts()["scripted"] == {"ran": 2, "repeat": 2}
    assert [seen.status for seen in scripted.told].count("repeat") == 2


def test_what_the_gate_refuses_is_never_run_and_its_reason_is_kept(lab: Lab) -> None:
    hostile = ("optimizer._target_=os.system", "seed=${oc.env:HOME}", "data=digits", "model.width=99999")
    found = lab.campaign(lab.charter(energy()), [Scripted(*hostile, "model.width=64")])
    assert found.counts()["scripted"] == {"refused": 4, "ran": 1}
    assert not [line for line in lab.ran if "target" in str(line) or "99999" in str(line)]
    assert any("fixed by the goal" in reason for reason in found.reasons("refused"))


def test_a_failed_trial_is_told_counted_and_not_paid_for_again(lab: Lab) -> None:
    scripted = Scripted("optimizer.lr=0.09", "model.width=64")
    charter = lab.charter(energy())
    found = lab.campaign(charter, [scripted])
    assert found.counts()["scripted"] == {"failed": 1, "ran": 1}
    assert [seen.status for seen in scripted.told].count("failed") == 1
    assert "diverged" in next(iter(found.reasons("failed")))
    ran = len(lab.ran)
    again = lab.campaign(charter, [Scripted("optimizer.lr=0.09", "model.width=64")])
    assert len(lab.ran) == ran and again.counts()["scripted"]["failed"] == 1


def test_a_control_that_cannot_run_ends_the_campaign_with_its_reason(lab: Lab) -> None:
    def missing(config: dict, rng: random.Random) -> dict[str, float]:
        raise ArithmeticError("refused: the data is not here: bring it with data.path=FOLDER")

    lab.task = missing
    sprint = lab.sprint(lab.charter(energy()))
    with pytest.raises(Refusal, match=r"data\.path=FOLDER"):
        sprint.run([Scripted("model.width=64")])
    assert len(lab.ran) == 1
    assert [row["status"] for row in lab.store.sprints()] == ["failed"]


def test_a_metric_that_is_not_measured_is_refused_after_the_control(lab: Lab) -> None:
    with pytest.raises(Refusal, match=r"does not measure val/f1"):
        lab.campaign(lab.charter(Objective(metric="test/f1", direction="max")), [Scripted("model.width=64")])
    assert len(lab.ran) == 1


def test_an_interrupt_reports_what_is_done_and_the_same_command_continues(lab: Lab) -> None:
    charter = lab.charter(energy())
    lab.interrupt_after = 9
    sprint = lab.sprint(charter)
    with pytest.raises(KeyboardInterrupt):
        sprint.run(lab.proposers(charter))
    report = (sprint.folder / "report.md").read_text()
    assert "interrupted: the same command continues" in report
    lab.interrupt_after = None
    found = lab.campaign(charter)
    assert found.insights[-1].verdict.word == "supported"
    assert len(lab.ran) == len({*lab.ran})


@pytest.mark.parametrize("limits", [{"trials": 40}, {"joules": 600.0}])
def test_a_budget_is_never_passed(lab: Lab, limits: dict[str, float]) -> None:
    spend = Spend(**limits)
    found = lab.campaign(lab.charter(energy(), screen=Screen(turns=200)), spend=spend)
    name, limit = next(iter(limits.items()))
    assert getattr(spend, name) <= limit * 1.1 and len(lab.ran) > 10
    assert any(f"budget.{name}" in note for note in found.facts["notes"])
    assert found.insights, found.facts["notes"]


def test_seconds_end_the_screening_and_leave_time_to_confirm(lab: Lab) -> None:
    clock = [0.0]
    spend = Spend(seconds=50, clock=lambda: clock[0])
    computed = lab.one

    def slow(job: Job) -> Outcome:
        clock[0] += 1.0
        return computed(job)

    lab.one = slow
    found = lab.campaign(lab.charter(energy(), screen=Screen(turns=500)), spend=spend)
    assert clock[0] <= 51 and found.insights
    assert any("budget.seconds=50" in note for note in found.facts["notes"])


def test_too_long_a_trial_is_refused_before_it_starts(lab: Lab) -> None:
    clock = [0.0]
    spend = Spend(seconds=100, clock=lambda: clock[0])
    computed = lab.one

    def slow(job: Job) -> Outcome:
        clock[0] += 8.0
        outcome = computed(job)
        return Outcome(job, outcome.status, trial_id=outcome.trial_id, wall_s=8.0)

    lab.one = slow
    charter = lab.charter(energy(None), promote=Promote(arms=1, seeds=(1,)), confirm=Confirm(seeds=3))
    found = lab.campaign(charter, [Scripted("budget.steps=2000")], spend=spend)
    assert any("lower budget.steps" in reason for reason in found.reasons("refused"))


def test_bounds_on_shares_are_screened_one_standard_error_tighter() -> None:
    tight = tightened(energy(0.9), 360).constraints[0].bound
    assert tight == pytest.approx(0.9 + math.sqrt(0.9 * 0.1 / 360))
    assert tightened(energy(1.0), 360).constraints[0].bound == 1.0
    assert tightened(energy(0.9), 0) == energy(0.9)
    exact = Objective(
        metric="test/accuracy",
        direction="max",
        constraints=(Constraint(metric="size/parameters", op="<=", bound=5.0),),
    )
    assert tightened(exact, 360) == exact


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"seconds": -1.0}, {"joules": float("nan")}])
def test_a_budget_that_buys_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refusal, match="buys nothing"):
        Spend(**wrong)


def test_equal_charters_share_a_folder_and_different_ones_do_not(lab: Lab) -> None:
    one, other = lab.charter(energy()), lab.charter(energy(), seed=1)
    assert one.name == lab.charter(energy()).name != other.name
    assert one.name.startswith("a-test-goal-")
