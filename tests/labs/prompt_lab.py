"""A default campaign on digits whose trials are made up and whose team answers by a script: its prompts.

Nothing is trained and nobody is asked, so that the same prompts come every time: what a model would be sent
is the campaign's own, from `agent.py`'s configuration, its space and its rows.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.campaign.campaign import CONF, Campaign
from research.campaign.run import research
from research.llm.exchange import ServerReply
from research.llm.ledger import LlmSpent
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.gate import Space
from research.store.store import Known, Store
from research.tasks.line import settings
from research.team.roles import Team, roles

METHOD = "CPU seconds x 4 W a core (CodeCarbon's default, as AMD EPYC is in no table)"
STEPS = (60, 125, 180, 240, 300, 360, 420, 450)


class Prompt(NamedTuple):
    """One question as it is sent."""

    role: str
    system: str
    user: str

    @property
    def text(self) -> str:
        return f"{self.system}\n{self.user}"


class Listener:
    """Stands where the client of a model stands: keeps what is asked, and answers by `say`."""

    def __init__(self, say: Callable[[str, str, int], dict[str, Any]]) -> None:
        self.asked: list[Prompt] = []
        self.left_s: Callable[[], float] = lambda: math.inf
        self.ledger = self
        self.spent = LlmSpent()
        self._say = say

    def prepare(self) -> None:
        """There is nothing to import."""

    def ask(self, messages: Sequence[Mapping[str, str]], kind: Any, read: Any, *, role: str, **more: Any):
        system, user = (message["content"] for message in messages[:2])
        before = sum(prompt.role == role for prompt in self.asked)
        self.asked.append(Prompt(role, system, "\n".join(message["content"] for message in messages[1:])))
        assert user
        return read(ServerReply(json.dumps(self._say(role, user, before)), "stop"))


ARMS = (
    ("optimizer.lr=0.01", f"budget.steps={STEPS[1]}"),
    ("model.width=32", f"budget.steps={STEPS[2]}"),
    ("optimizer=lion", "optimizer.lr=0.001", f"budget.steps={STEPS[3]}"),
    ("scheduler=linear", f"budget.steps={STEPS[4]}"),
    ("data.batch_size=64", f"budget.steps={STEPS[2]}"),
    ("model.depth=2", "model.width=48", f"budget.steps={STEPS[1]}"),
    ("optimizer=sgd", "optimizer.lr=0.1", f"budget.steps={STEPS[3]}"),
    ("model.activation=gelu", f"budget.steps={STEPS[2]}"),
)
CLAIM = "Fewer steps at a higher rate keep the accuracy for fewer joules than the control stopped there."
BECAUSE = "The curve of the control is flat long before its end, and joules grow in proportion to the steps."


def scripted(role: str, prompt: str, before: int) -> dict[str, Any]:
    """What a sensible team of six says: one of four proposals is doubted once, and improved."""
    place = 4 * before % len(ARMS)
    if role == "researcher":
        return {"hypotheses": [{"claim": CLAIM, "because": BECAUSE, "cites": []}] * 4}
    if role == "architect":
        arms = [
            {"hypothesis": n, "change": "a shorter training at another rate", "refuted_by": "as many joules"}
            for n in range(1, 5)
        ]
        plan = {"control": "the control", "metric": "train/energy_j", "seeds": 3, "seconds": 1.0}
        return {**plan, "arms": arms}
    if role == "engineer":
        return {
            "builds": [{"arm": n + 1, "overrides": list(ARMS[(place + n) % len(ARMS)])} for n in range(4)]
        }
    if role == "improver":
        changed = "a smaller change, because the accuracy was doubted"
        return {"hypothesis": CLAIM, "overrides": [f"budget.steps={190 + before}"], "changed": changed}
    if role == "reviewer":
        facets = ("novelty", "feasibility", "impact", "clarity", "efficiency")
        score = 1.0 if before % 6 in (1, 4) else 8.0
        reasons = {"reasons": ["worth its cost"], "risks": ["the accuracy may fall"], "chance": 0.4}
        return {**dict.fromkeys(facets, score), **reasons}
    if role == "validator":
        return {"words": "Fewer steps pay.", "cites": [], "next": ["the same steps with a wider network"]}
    return {"hypothesis": CLAIM, "overrides": [f"model.width={50 + before}"]}


def learning(config: Mapping[str, Any], signature: str) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Figures and curve of a trial on digits: accuracy saturates in steps, joules grow with the network."""
    rng = random.Random(signature)
    steps = int(config["budget"]["steps"])
    width, rate = float(config["model"].get("width", 64)), float(config["optimizer"]["lr"])
    noise = rng.gauss(0, 0.004)

    def score(step: float) -> float:
        speed = 60 * (1 + 64 / width) * (0.003 / min(rate, 0.02)) ** 0.3
        return 0.985 * (1 - 0.9 * math.exp(-step / speed)) + noise

    each = 0.0015 * (1 + width / 200) * (1 + rng.gauss(0, 0.03))
    joules, accuracy = 0.1 + steps * each, score(steps)
    curve = [
        {
            "step": float(at),
            "second": at * each / 4,
            "joule": 0.1 + at * each,
            "val/accuracy": score(at),
            "val/loss": 1 - score(at),
        }
        for at in range(steps // 10 or 1, steps + 1, steps // 10 or 1)
    ]
    figures = {
        "val/accuracy": accuracy,
        "val/loss": 1 - accuracy,
        "test/accuracy": accuracy - 0.015 + rng.gauss(0, 0.003),
        "train/energy_j": joules,
        "train/seconds": joules / 4,
        "train/cpu_seconds": joules / 4,
        "train/co2_kg": joules * 1e-7,
        "train/peak_bytes": 1e6 + 1e4 * width,
        "size/parameters": 75 * width,
        "size/bytes": 300 * width,
        "compute/flops_forward": 150 * width,
        "infer/latency_s_p50": 4e-5,
        "trial/seconds": 0.4,
        "trial/cpu_seconds": 0.5,
    }
    return figures, curve


class PromptLab:
    """A campaign of `typed` keys in a folder; `prompts` are the questions to the model in their order."""

    def __init__(self, folder: Path, *typed: str, say: Any = scripted) -> None:
        own = [f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db", "discovered=null"]
        self.config = settings([*own, "budget.seconds=3600", *typed], CONF)
        self.store = Store(self.config["store"]["url"])
        self.space = Space(CONF, CONF / "space.yaml")
        self.listener = Listener(say)
        self.stopped: set[str] = set()
        """overrides with which a training is ended early"""

    @property
    def prompts(self) -> list[Prompt]:
        return self.listener.asked

    def run(self) -> Path:
        """The whole campaign; its report."""
        parts = {"client": self.listener, "team": Team(roles(CONF), self.listener), "store": self.store}
        with Campaign(self.config, run=self._run, **parts) as campaign:
            return research(campaign)

    def _run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            yield self._one(job)

    def _one(self, job: Job) -> Outcome:
        signature = self.space.signature(job.config)
        asked = {"config": job.config, "overrides": job.overrides, "seed": job.config["seed"]}
        more = {"sweep": job.sweep, "source": job.source, "force": bool(job.config.get("force"))}
        got = self.store.claim(identity.key(job.config, signature), **asked, **more)
        if isinstance(got, Known):
            return Outcome(job, "known", trial_id=got.trial.id)
        if self.stopped & {*job.overrides}:
            reason = "stopped early at 30 % of its training: it cannot win"
            self.store.fail(got, reason)
            return Outcome(job, "failed", reason, wall_s=0.2)
        figures, curve = learning(job.config, signature)
        energy = {"energy_method": "estimated", "energy_basis": METHOD}
        facts = {**energy, "scored": 359, "threads": 1, "device": "cpu", "disturbed": {}}
        self.store.finish(got, figures, facts, curve)
        return Outcome(job, "done", trial_id=got.trial_id, wall_s=0.4)

    def close(self) -> None:
        self.store.close()


def prompts(folder: Path, *typed: str) -> list[Prompt]:
    """What a default campaign of one sprint sends, unless `typed` says otherwise."""
    lab = PromptLab(folder, "sprint.count=1", *typed)
    began = time.monotonic()
    try:
        lab.run()
    finally:
        lab.close()
    assert time.monotonic() > began
    return lab.prompts


def by_sprint(sent: Sequence[Prompt]) -> list[list[Prompt]]:
    """The prompts of each sprint, which begins with a researcher."""
    starts = [at for at, prompt in enumerate(sent) if prompt.role == "researcher"]
    return [list(sent[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]
