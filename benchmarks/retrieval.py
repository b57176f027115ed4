"""How long memory takes to find a few episodes among many: python benchmarks/retrieval.py [EPISODES] [URL].

Of 100,000 episodes 80 % are trials, 18 % experiments and 2 % insights, over six data sets and ten knobs; each
of 1,000 queries asks for a task, an objective, a configuration near a random one, twelve words and a phase.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from research.memory.retrieval import Nearest, Query
from research.store import index as episodes
from research.store import schema
from research.store.store import Store
from research.types import Insight, Objective, Proposal, Verdict

QUERIES, BATCH = 1000, 5000
TASKS = ("digits", "mnist1d", "pytext", "mqar", "mnist", "cifar10")
CHOICES = {
    "optimizer": ("adamw", "lion", "muon", "sgd", "soap"),
    "model": ("mlp", "cnn", "gru", "gpt"),
    "scheduler": ("cosine", "wsd", "constant"),
}
RANGES = {
    "optimizer.lr": (1e-5, 1e-1),
    "model.width": (8, 1024),
    "model.depth": (1, 24),
    "budget.steps": (20, 2000),
    "data.batch_size": (8, 1024),
}
COMMON = ("the a of fewer joules accuracy loss steps width rate smaller larger network lower higher").split()  # noqa: SIM905
RARE = [f"word{n}" for n in range(2000)]
PHASES = ("planning", "architecture", "optimization", "evaluation", None)
METRICS = ("train/energy_j", "test/accuracy", "size/parameters")


def overrides(rng: random.Random) -> tuple[str, ...]:
    turned = [f"{key}={rng.choice(of)}" for key, of in CHOICES.items() if rng.random() < 0.5]
    for key, (low, high) in RANGES.items():
        if rng.random() < 0.5:
            turned.append(f"{key}={low * (high / low) ** rng.random():.3g}")
    return tuple(turned)


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(COMMON, k=9) + rng.choices(RARE, k=3))


def trial(number: int, rng: random.Random) -> dict[str, Any]:
    own = [f"data={rng.choice(TASKS)}", *overrides(rng), f"seed={number % 5}"]
    failed = rng.random() < 0.1
    fixed = {"code": "c", "data": "d", "hardware": "h", "replicate": 0, "seed": 0, "token": None}
    fixed |= {"owner": "x"}
    fixed |= {"lease_until": 0, "started": 0, "source": "agent", "facts": {}, "config": {}}
    told = {"status": "failed" if failed else "done", "reason": sentence(rng) if failed else None}
    return fixed | told | {"signature": f"s{number}", "overrides": own}


def experiment(number: int, rng: random.Random) -> dict[str, Any]:
    proposal = Proposal(hypothesis=sentence(rng), overrides=overrides(rng)).model_dump()
    facts = {"screened": [rng.randrange(1, 1000)], "reasons": []}
    return {
        "created": 0,
        "sprint_id": 1 + number % 6,
        "proposal": proposal,
        "status": "screened",
        "facts": facts,
    }


def insight(number: int, rng: random.Random) -> dict[str, Any]:
    verdict = Verdict(word="open", comparison=None, reason="x", trial_ids=())
    told = Insight(claim=sentence(rng), verdict=verdict, energy_method="estimated", command="x").model_dump()
    links = {"sprint_id": 1 + number % 6, "proposal_id": number + 1}
    return {"created": 0, "word": "open", "insight": told, "facts": {}} | links


def fill(
    store: Store, table: sa.Table, count: int, make: Callable[[int, random.Random], Any], index: Any
) -> None:
    rng = random.Random(table.name)
    for start in range(0, count, BATCH):
        with store.write() as connection:
            made = [make(number, rng) for number in range(start, min(start + BATCH, count))]
            connection.execute(sa.insert(table), made)
            for number in range(start + 1, start + len(made) + 1):
                index(connection, number)


def build(store: Store, total: int) -> None:
    for task in TASKS:
        facts = {"charter": {"fixed": [f"data={task}"]}}
        store.add_sprint("a goal", objective={"metric": "train/energy_j"}, facts=facts)
    fill(store, schema.trial, total * 80 // 100, trial, episodes.of_trial)
    rows = [
        {"trial_id": n, "point": schema.FINAL, "key": key, "value": n / 7, "step": None}
        for n in range(1, 1000)
        for key in ("val/accuracy", "train/energy_j", "test/accuracy", "train/seconds")
        if n <= total * 80 // 100
    ]
    with store.write() as connection:
        connection.execute(sa.insert(schema.metric), rows)
    fill(store, schema.proposal, total * 18 // 100, experiment, episodes.of_proposal)
    fill(store, schema.insight, total * 2 // 100, insight, episodes.of_insight)


def asked(rng: random.Random) -> Query:
    return Query(
        task=rng.choice([*TASKS, None]),
        objective=Objective(metric=rng.choice(METRICS), direction="min"),
        overrides=overrides(rng),
        words=sentence(rng),
        phase=rng.choice(PHASES),
    )


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        store = Store(sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder}/lab.db")
        wall, cpu = time.perf_counter(), time.process_time()
        build(store, total)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        each = 1e6 * cpu / total
        print(f"built {total} episodes in {wall:.0f} s, {cpu:.0f} CPU s, {each:.0f} microseconds each")
        rng, find, counts = random.Random(0), Nearest(), []
        clocks = {"wall": time.perf_counter, "CPU": time.process_time}
        seconds: dict[str, list[float]] = {name: [] for name in clocks}
        for query in [asked(rng) for _ in range(QUERIES)]:
            started_at = {name: clock() for name, clock in clocks.items()}
            counts.append(len(find(store, query)))
            for name, clock in clocks.items():
                seconds[name].append(clock() - started_at[name])
        store.close()
    print(f"{QUERIES} queries, {statistics.fmean(counts):.1f} episodes each; milliseconds:")
    for name, taken in seconds.items():
        quantiles = statistics.quantiles(taken, n=100)
        p50, p95, p99 = (1e3 * quantiles[at - 1] for at in (50, 95, 99))
        print(f"{name:4} p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}, at most {1e3 * max(taken):.1f}")


if __name__ == "__main__":
    main()
