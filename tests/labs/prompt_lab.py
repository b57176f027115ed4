"""A default campaign on digits whose trials are made up and whose team answers by a script: its prompts.

Nothing is trained and nobody is asked, so that the same prompts come every time: what a model would be sent
is the campaign's own, from `agent.py`'s configuration, its space and its rows.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.campaign.campaign import CONF, Campaign
from research.campaign.run import research
from research.llm import client as llm
from research.llm.endpoint import Messages, ServerReply
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.gate import Space
from research.store.store import Known, Store
from research.tasks.line import settings
from research.team.roles import Team, roles

METHOD = "CPU seconds x 4 W a core (CodeCarbon's default, as AMD EPYC is in no table)"
STEPS = (60, 125, 180, 240, 300, 360, 420, 450)


BEGINS = {
    "You are the researcher": "researcher",
    "You are the architect": "architect",
    "You are the engineer": "engineer",
    "You are a strict reviewer": "reviewer",
    "You improve": "improver",
    "You word": "validator",
}
Say = Callable[[str, int], dict[str, Any]]
"""role, and how often it was asked before -> its answer"""


class Prompt(NamedTuple):
    """One question as it is sent."""

    role: str
    system: str
    user: str

    @property
    def text(self) -> str:
        return f"{self.system}\n{self.user}"


class Wire:
    """Stands where a model's server stands: keeps what is sent, and answers by `say`."""

    def __init__(self, say: Say) -> None:
        self.asked: list[Prompt] = []
        self._say = say

    def send(self, messages: Messages, form: Any, timeout_s: float, temperature: float | None) -> ServerReply:
        system, *rest = (message["content"] for message in messages)
        role = next((name for begin, name in BEGINS.items() if system.startswith(begin)), "proposer")
        before = sum(prompt.role == role for prompt in self.asked)
        self.asked.append(Prompt(role, system, "\n".join(rest)))
        return ServerReply(json.dumps(self._say(role, before)), "stop", 1, 1)

    def prepare(self) -> None:
        """There is nothing to import."""

    def interrupt(self) -> None:
        """Every answer is there at once."""

    def close(self) -> None:
        """There is no connection."""


def client(wire: Wire) -> llm.Client:
    """A client whose only model is a script."""
    config = {
        "model": "openai/scripted",
        "api_base": "http://127.0.0.1:9/v1",
        "price": {"input": 0, "output": 0},
    }
    made = llm.connect(config, record=lambda **exchange: None)
    assert made is not None
    made._endpoints[0]._wire = wire  # type: ignore[assignment]
    return made


ARMS = (
    ("optimizer=sgd", "optimizer.lr=0.1", f"budget.steps={STEPS[3]}"),
    ("optimizer.lr=0.01", f"budget.steps={STEPS[1]}"),
    ("model.width=32", f"budget.steps={STEPS[2]}"),
    ("optimizer=lion", "optimizer.lr=0.001", f"budget.steps={STEPS[3]}"),
    ("scheduler=linear", f"budget.steps={STEPS[4]}"),
    ("data.batch_size=64", f"budget.steps={STEPS[2]}"),
    ("model.depth=2", "model.width=48", f"budget.steps={STEPS[1]}"),
    ("model.activation=gelu", f"budget.steps={STEPS[2]}"),
)
CLAIM = "Fewer steps at a higher rate keep the accuracy for fewer joules than the control stopped there."
BECAUSE = "The curve of the control is flat long before its end, and joules grow in proportion to the steps."


def scripted(role: str, before: int) -> dict[str, Any]:
    """What a sensible team of six says: two of four proposals are doubted once, and improved."""
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
        # What is shorter than the control does not hold what it shows, so that a second sprint follows.
        "test/accuracy": accuracy - 0.015 - 0.02 * (steps < 500) + rng.gauss(0, 0.003),
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

    def __init__(self, folder: Path, *typed: str, say: Say = scripted) -> None:
        own = [f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db", "discovered=null"]
        self.config = settings([*own, "budget.seconds=3600", *typed], CONF)
        self.store = Store(self.config["store"]["url"])
        self.space = Space(CONF, CONF / "space.yaml")
        self._wire = Wire(say)

    @property
    def prompts(self) -> list[Prompt]:
        return self._wire.asked

    def run(self) -> Path:
        """The whole campaign; its report."""
        with client(self._wire) as asked:
            parts = {"client": asked, "team": Team(roles(CONF), asked), "store": self.store}
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
    try:
        lab.run()
    finally:
        lab.close()
    return lab.prompts


def by_sprint(sent: Sequence[Prompt]) -> list[list[Prompt]]:
    """The prompts of each sprint, which begins with a researcher."""
    starts = [at for at, prompt in enumerate(sent) if prompt.role == "researcher"]
    return [list(sent[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]
