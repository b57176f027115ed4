"""A campaign's rows written by hand, two sprints with all that a report can tell of, and SQL to check."""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from research.stats.alpha import Errors
from research.stats.sentences import claim_sentence
from research.stats.verdicts import judge
from research.store.store import Store, TrialClaim
from research.types import Constraint, Insight, Key, Objective, Proposal

CAMPAIGN = "fewer-joules-1234"
FLOOR = Constraint(metric="test/accuracy", op=">=", bound=0.9)
OBJECTIVE = Objective(metric="train/energy_j", direction="min", constraints=(FLOOR,))
WINNER = ("optimizer.lr=0.01", "budget.steps=200")
HOSTILE = "<script>alert(1)</script> | a\n# Supported\n[x](http://e.vil) ![i](u) `tick` **b** www.e.vil\u202e"


class RowsLab:
    """A store, and verbs that write what a campaign writes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rows.db"
        self.store = Store(f"sqlite:///{self.path}")
        self.ids: dict[tuple[tuple[str, ...], str], list[int]] = {}

    def trial(
        self,
        overrides: Sequence[str],
        seed: int,
        joules: float,
        accuracy: float,
        *,
        hardware: str = "cpu:test",
        method: str = "estimated",
        sweep: str = CAMPAIGN,
    ) -> int:
        """A finished trial with a curve of three points."""
        line = " ".join(overrides)
        key = Key(f"{line} {seed} {hardware} {method} {sweep}", "code", "data", hardware)
        got = self.store.claim(
            key, config={"score": "val/accuracy"}, overrides=[*overrides, f"seed={seed}"], seed=seed,
            sweep=sweep, folder=f"runs/{abs(hash(key)):x}",
        )  # fmt: skip
        assert isinstance(got, TrialClaim)
        metrics = {
            "train/energy_j": joules,
            "test/accuracy": accuracy,
            "val/accuracy": accuracy + 0.001,
            "size/parameters": 100.0,
            "infer/energy_j_per_sample": joules / 1000,
        }
        curve = [
            {"step": step, "second": float(step), "joule": joules * part, "val/accuracy": accuracy * part}
            for step, part in ((10, 0.3), (20, 0.7), (30, 1.0))
        ]
        self.store.finish(got, metrics, {"energy_method": method, "torch": "2", "threads": 1}, curve)
        return got.trial_id

    def arm(self, overrides: tuple[str, ...], seeds: Sequence[int], joules: float, **how: Any) -> list[int]:
        """Trials of an arm over seeds, with some spread that the seed decides."""
        ids = []
        for seed in seeds:
            noise = random.Random(f"{overrides} {seed}").gauss(0, 0.02)
            ids.append(self.trial(overrides, seed, joules * (1 + noise), 0.95 + noise / 10, **how))
        return ids

    def sprint(self, number: int, status: str = "done", **facts: Any) -> int:
        """A sprint's row."""
        charter = {"goal": {"smallest_effect": 0.1}, "fixed": ["data=digits"], "alpha": 0.05}
        told = {
            "campaign": CAMPAIGN,
            "number": number,
            "charter": charter,
            "notes": [],
            "seconds": 10.0 * number,
        }
        return self.store.add_sprint(
            "fewer joules", objective=OBJECTIVE.model_dump(mode="json"), status=status, folder="f",
            facts=told | facts,
        )  # fmt: skip

    def experiment(self, sprint: int, overrides: tuple[str, ...], status: str, **facts: Any) -> int:
        """A proposal's row."""
        proposer = facts.pop("proposer", "control" if status == "control" else "tpe")
        hypothesis = facts.pop("hypothesis", "it takes fewer joules")
        proposal = Proposal(hypothesis=hypothesis, overrides=overrides, proposer=proposer)
        return self.store.add_proposal(proposal, sprint_id=sprint, status=status, facts=facts)

    def finding(
        self, sprint: int, experiment: int, control: list[int], arm: list[int], **facts: Any
    ) -> Insight:
        """An insight judged from the trials."""
        before, after = (
            {trial.seed: results[trial.id].metrics["train/energy_j"] for trial in self.store.trials(ids=ids)}
            for ids in (control, arm)
            for results in [self.store.results(ids)]
        )
        verdict = judge(
            before, after, metric="train/energy_j", direction="min", smallest_effect=10.0, scale="relative",
            rate=Errors(0.01, 0.01), trial_ids=[*control, *arm],
        )  # fmt: skip
        verdict = verdict.model_copy(update={"word": facts.pop("word", verdict.word)})
        claim = claim_sentence(WINNER, verdict, "min", [FLOOR], "estimated")
        insight = Insight(
            claim=claim, verdict=verdict, energy_method="estimated", command="python train.py x"
        )
        self.store.add_insight(insight, sprint_id=sprint, proposal_id=experiment, facts=facts)
        return insight

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows by plain SQL, without the store's own readers."""
        with sqlite3.connect(self.path) as connection:
            return connection.execute(query, values).fetchall()

    def mean(self, ids: Sequence[int], key: str) -> float:
        """The mean of a final figure over trials, by SQL."""
        marks = ",".join("?" * len(ids))
        asked = f"select avg(value) from metric where point = -1 and key = ? and trial_id in ({marks})"
        return float(self.sql(asked, key, *ids)[0][0])


def campaign(lab: RowsLab) -> None:
    """Two sprints: the first finds nothing, the second confirms a proposal that it carried on."""
    first = lab.sprint(
        1,
        notes=["no proposal beat the control"],
        pruned={"trials": 3, "joules_saved": 40.0},
        memory={"mode": "on", "recalled": []},
    )
    screened = lab.arm((), [0], 20.0)
    confirmed = lab.arm((), range(1000, 1005), 20.0)
    lab.experiment(first, (), "control", screened=screened)
    winner = lab.arm(WINNER, [0], 10.0)
    old = lab.experiment(first, WINNER, "promoted", screened=winner, lane="team", proposer="llm")
    for status in ("refused", "dropped", "failed"):
        lab.experiment(first, (HOSTILE,), status, reasons=[f"{status} {HOSTILE}"], hypothesis=HOSTILE)
    second = lab.sprint(
        2,
        pruned={"trials": 2, "joules_saved": 10.0},
        predicted={"refused": 4, "false": 1},
        boxes={name: {"limit_s": 100.0, "used_s": 40.0} for name in ("discuss", "implement", "validate")},
        turns={"llm": {"turns": 3, "gain": 0.5, "joules": 10.0}},
        memory={"mode": "on", "recalled": [7, 8]},
        team={"outcomes": {"reviewer": {"ok": 2, "refused": 1}}, "silence": HOSTILE},
        comparisons=["open", "supported"],
    )
    lab.experiment(second, (), "control", screened=screened, confirmed=confirmed)
    ids = lab.arm(WINNER, range(1000, 1005), 10.0)
    facts = {"screened": winner, "confirmed": ids, "carried": old, "lane": "team", "proposer": "llm"}
    won = lab.experiment(second, WINNER, "supported", **facts)
    plain = lab.arm(("model.width=64",), [0], 15.0)
    lab.experiment(second, ("model.width=64",), "screened", screened=plain, lane="control")
    lab.store.add_review(
        won, role="reviewer", score=7.5, content={"by": "model", "reasons": [HOSTILE]}, facts={"round": 1}
    )
    lab.store.add_review(old, role="reviewer", score=None, content={"by": "stand-in", "reasons": []})
    lab.finding(
        second, won, confirmed, ids, rating=7, looks=1, recipe="conf/experiment/discovered/x.yaml",
        rubric={"ran": {"holds": True, "why": "y"}, "new": {"points": 0, "holds": False, "why": HOSTILE}},
        words={"text": HOSTILE, "by": "model"}, next=[f"try {HOSTILE}"],
        equivalent={"test/accuracy": {"word": "supported", "margin": 0.01}},
    )  # fmt: skip
    said = {"role": "reviewer", "model": "m", "prompt": "p", "reply": "r", "outcome": "ok"}
    lab.store.add_interaction(sprint_id=first, **said, tokens_in=10, tokens_out=5, dollars=0.5, joules=2.0)
    lab.store.add_interaction(sprint_id=second, **said, tokens_in=10, tokens_out=5, dollars=0.25)


@contextmanager
def opened(folder: Path) -> Iterator[RowsLab]:
    """A lab in memory where there is some."""
    memory = Path("/dev/shm")
    if memory.is_dir():
        folder = memory / f"rows-{folder.name}-{random.SystemRandom().randrange(10**9)}"
        folder.mkdir()
    made = RowsLab(folder)
    try:
        yield made
    finally:
        made.store.close()
        if folder.parent == memory:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
