"""What the store's guarantees cost beside bare inserts of the same rows: python benchmarks/store.py [URL].

Each trial is two transactions: claimed, then finished with 40 figures and a curve of 20 points of 2 figures.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from research.store import schema
from research.store.store import Store, TrialClaim
from research.types import Key

TRIALS, ROUNDS = 40, 5
FIGURES = {f"test/figure_{i}": i / 7 for i in range(40)}
CURVE = [
    {"step": i, "second": i / 3, "joule": i / 5, "val/accuracy": 0.5, "train/loss": 0.1} for i in range(20)
]


def kept(store: Store, start: int) -> None:
    for number in range(start, start + TRIALS):
        claim = store.claim(Key(f"kept{number}", "c", "d", "h"), config={"seed": number})
        assert isinstance(claim, TrialClaim)
        store.finish(claim, FIGURES, {"device": "cpu"}, CURVE)


def bare(store: Store, start: int) -> None:
    fixed = {
        "code": "c",
        "data": "d",
        "hardware": "h",
        "replicate": 0,
        "seed": 0,
        "overrides": [],
        "facts": {},
    }
    fixed |= {"status": "done", "source": "x", "token": None, "owner": "x", "lease_until": 0, "started": 0}
    for number in range(start, start + TRIALS):
        row = fixed | {"signature": f"bare{number}", "config": {"seed": number}}
        with store.write() as connection:
            trial_id = connection.execute(sa.insert(schema.trial).values(**row)).inserted_primary_key[0]
        figures = [(-1, key, value, {}) for key, value in FIGURES.items()]
        figures += [(at, key, point[key], point) for at, point in enumerate(CURVE) for key in list(point)[3:]]
        with store.write() as connection:
            connection.execute(
                sa.insert(schema.metric),
                [
                    {"trial_id": trial_id, "point": at, "key": key, "value": value}
                    | {axis: point.get(axis) for axis in ("step", "second", "joule")}
                    for at, key, value, point in figures
                ],
            )


def took(work: Callable[[Store, int], None], store: Store, start: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work(store, start)
    return (time.perf_counter() - wall) / TRIALS, (time.process_time() - cpu) / TRIALS


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/lab.db")
        runs: dict[Callable[[Store, int], None], list[tuple[float, float]]] = {bare: [], kept: []}
        for turn in range(ROUNDS):
            for work, seen in runs.items():
                seen.append(took(work, store, turn * TRIALS))
        store.close()
    medians = {
        work: [statistics.median(column) for column in zip(*seen, strict=True)] for work, seen in runs.items()
    }
    for work, (wall, cpu) in medians.items():
        rate = f"{1 / wall:5.0f} trials/s"
        print(f"{work.__name__:5} {wall * 1e3:6.2f} ms wall, {cpu * 1e3:5.2f} ms CPU a trial, {rate}")
    wall, cpu = (kept_s / bare_s for kept_s, bare_s in zip(medians[kept], medians[bare], strict=True))
    print(
        f"ratio {wall:.2f} in wall time, {cpu:.2f} in CPU time ({ROUNDS} rounds of {TRIALS} trials, medians)"
    )


if __name__ == "__main__":
    main()
