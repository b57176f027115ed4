"""A lab for tests: a small task with known answers, its space, and real rows in a real store."""

import io
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from empty_stores import laid
from research.campaign.budget import Spend
from research.campaign.campaign import Campaign
from research.campaign.charter import Charter, Confirm, Promote, Screen
from research.campaign.sprint import Sprint
from research.campaign.study import conduct
from research.goal.goal import Goal
from research.propose.direct import Random
from research.propose.proposer import Proposer, Seen, State
from research.propose.sampler import Tpe
from research.report.findings import Findings
from research.run.lines import Lines
from research.run.lookup import lacking
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.gate import Space
from research.store.store import Known, Store
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
inert: [store, root, callbacks.halving, force, unmeasured]
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
        self.store = Store(laid(folder / "lab.db"))
        self.ran: list[tuple[str, ...]] = []
        self.batches: list[int] = []
        self.completed: list[tuple[str, ...]] = []
        self.spared: dict[int, dict[str, float]] = {}
        """what a look has left unmeasured"""
        self.scored = 3_780
        """examples of the one test set"""
        self.interrupt_after: int | None = None
        self.neighbour: Callable[[Job], dict[str, str]] = lambda job: {}
        """what somebody else on the machine disturbs of a trial: window -> reason"""
        self.clock: Callable[[], float] = time.monotonic

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        self.batches.append(len(jobs))
        for job in jobs:
            if self.interrupt_after is not None and len(self.ran) >= self.interrupt_after:
                raise KeyboardInterrupt
            if job.until is not None and self.clock() >= job.until:
                yield Outcome(job, "interrupted", "the time for it was over")
            else:
                yield self.one(job)

    def one(self, job: Job) -> Outcome:
        signature = self.space.signature(job.config)
        key = identity.key(job.config, signature)
        asked = {"config": job.config, "overrides": job.overrides, "seed": job.config["seed"]}
        force = bool(job.config.get("force"))
        got = self.store.claim(key, **asked, sweep=job.sweep, source=job.source, force=force)
        if isinstance(got, Known):
            if lacking(got.result.facts, job.config):
                self.completed.append(tuple(job.overrides))
                self.store.complete(got.trial.id, self.spared.pop(got.trial.id), {})
            return Outcome(job, "known", trial_id=got.trial.id)
        self.ran.append(tuple(job.overrides))
        try:
            metrics = self.task(job.config, random.Random(signature))
        except ArithmeticError as error:
            self.store.fail(got, str(error), getattr(error, "facts", None))
            return Outcome(job, "failed", str(error), wall_s=1.0)
        held = self.neighbour(job)
        facts = {"energy_method": "estimated", "scored": self.scored} | ({"disturbed": held} if held else {})
        if job.config.get("unmeasured"):
            own = {key: metrics.pop(key) for key in list(metrics) if key.startswith("infer/")}
            self.spared[got.trial_id], facts["unmeasured"] = own, job.config["unmeasured"]
        self.store.finish(got, metrics, facts)
        return Outcome(job, "done", trial_id=got.trial_id, wall_s=1.0)

    def charter(self, objective: Objective, **changed) -> Charter:
        goal = Goal(text="a test goal", objective=objective)
        stages = {"screen": Screen(turns=10), "promote": Promote(arms=2), "confirm": Confirm()}
        shares = {"random": 0.3, "tpe": 0.7, "scripted": 1.0}
        return Charter(goal=goal, fixed=("data=digits",), **{"shares": shares, **stages, **changed})

    def open(
        self, charter: Charter, spend: Spend | None = None, discovered: Path | None = None, **parts
    ) -> Campaign:
        """The campaign of a charter, its trials computed in this process."""
        spend = spend or Spend()
        self.clock = spend.clock
        return self._opened(discovered=discovered, charter=charter, spend=spend, **parts)

    def conduct(self, name: str, base: Sequence[str] = (), root: str | None = None) -> str:
        """The report of a recipe's experiment."""
        space = Space(self.folder / "conf", self.folder / "conf" / "space.yaml")  # recipes may be new
        return conduct(self._opened(root, asked={"base": base}, space=space), name).read_text()

    def _opened(self, root: str | None = None, discovered: Path | None = None, **parts) -> Campaign:
        from rich.console import Console

        self.told = Console(record=True, width=200, file=io.StringIO())
        launcher = {"jobs": None, "threads": None, "timeout_s": None}
        config = {"root": root or str(self.folder / "runs"), "discovered": discovered, "launcher": launcher}
        config |= {"store": {"url": "x"}, "llm": {"model": None}, "quiet": []}
        given = {"lines": Lines(self.told), "space": self.space, "store": self.store, **parts}
        return Campaign(config, conf=self.folder / "conf", run=self.run, **given)

    def sprint(self, charter: Charter, spend: Spend | None = None, number: int = 1, **more) -> Sprint:
        return Sprint(self.open(charter, spend, **more), self.run, number)

    def proposers(self, charter: Charter) -> list[Proposer]:
        given = (self.space.vocabulary(), charter.fixed, charter.seed)
        return [Random(*given), Tpe(*given)]

    def campaign(self, charter: Charter, proposers: list[Proposer] | None = None, **options) -> Findings:
        sprint = self.sprint(charter, **options)
        sprint.run(self.proposers(charter) if proposers is None else proposers)
        return Findings(self.store, sprint.id)


@contextmanager
def opened(folder: Path, task: Task = learning) -> Iterator[Lab]:
    """A lab in memory where there is some: a campaign commits hundreds of rows, each synced to a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else folder) as name:
        made = Lab(Path(name), task)
        try:
            yield made
        finally:
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
