"""Predicted costs of trainings beside measured ones: random configurations, each predicted before it is run.

    python benchmarks/cost_prediction.py [--learnt 30] [--asked 50] [--data digits mnist1d] [--store URL]

Configurations are drawn as random search draws them, from the space of each data set, and pass the gate.
The first `--learnt` are what a campaign has measured so far; each of the next `--asked` is predicted by what
was measured before it and then run and learnt as well, as in a search. Beside it stands the median of all
trials before, scaled by steps: what was told before there was a fit. A training of more than `--seconds` is
left out and counted. With `--store` of an earlier run known trials are read, not run.

Target of the plan: CPU seconds within 1.5 times in 80 % of 50 configurations.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from research.propose.dimensions import Dimensions, typed  # noqa: E402  the script runs from any folder
from research.run.runner import Job, Runner  # noqa: E402
from research.space.gate import Space  # noqa: E402
from research.space.vocabulary import narrowed  # noqa: E402
from research.stats.costs import Case, Costs  # noqa: E402
from research.store.store import Store  # noqa: E402

CONF = ROOT / "conf"
WITHIN = 1.5


def draws(space: Space, data: str, count: int, seed: int) -> list[tuple[str, ...]]:
    """So many different lines of overrides that the gate takes."""
    import random

    fixed = (f"data={data}",)
    vocabulary = narrowed(space, fixed)
    vocabulary["groups"].pop("compress", None)
    vocabulary["keys"] = {key: one for key, one in vocabulary["keys"].items() if one["group"] != "compress"}
    dimensions, rng = Dimensions(vocabulary, fixed), random.Random(f"{data} {seed}")
    found: dict[tuple[str, ...], None] = {}
    while len(found) < count:
        line = typed(dimensions.vary(rng, "train/energy_j"))
        if not space.check(list(line), lambda configs: None, given=fixed):
            found[(*fixed, *line)] = None
    return list(found)


def cases(
    space: Space, lines: list[tuple[str, ...]], url: str, seconds: float
) -> Iterator[tuple[tuple[str, ...], Case]]:
    """Each line with what its training took, in their order."""
    with tempfile.TemporaryDirectory() as folder, Runner(1, 1, seconds, logs=Path(folder) / "logs") as runner:
        store = Store(url)
        for line in lines:
            typed_ = [*line, "logger=none", "callbacks=[divergence]", f"store.url={url}", f"root={folder}"]
            (outcome,) = runner.run([Job(space.resolve(typed_), list(line))])
            if not outcome.ok:
                print(f"  left out: {' '.join(line)}: {str(outcome.reason)[:90]}", flush=True)
                continue
            (trial,), result = store.trials(ids=[outcome.trial_id]), store.results([outcome.trial_id])
            case = Case.of(trial, result[trial.id])
            if case is not None:
                yield line, case
        store.close()


def ratio(predicted: float, measured: float) -> float:
    """How many times off, in either direction."""
    return max(predicted / measured, measured / predicted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--learnt", type=int, default=30, help="configurations measured before the first")
    parser.add_argument("--asked", type=int, default=50, help="configurations predicted, over all data sets")
    parser.add_argument("--data", nargs="+", default=["digits", "mnist1d"])
    parser.add_argument("--seconds", type=float, default=40.0, help="of a trial, more are left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="a database to keep the trials in")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{platform.processor() or platform.machine()}, one thread, {asked.learnt} learnt first")
    space, each = Space(CONF, CONF / "space.yaml"), (asked.learnt + asked.asked) // len(asked.data)
    drawn = [draws(space, data, each, asked.seed) for data in asked.data]
    lines = [line for some in zip(*drawn, strict=True) for line in some]
    with tempfile.TemporaryDirectory() as folder:
        url = asked.store or f"sqlite:///{folder}/costs.db"
        told(list(cases(space, lines, url, asked.seconds)), asked.learnt)


def told(measured: list[tuple[tuple[str, ...], Case]], learnt: int) -> None:
    """Predict each case by those before it, and print how far off."""
    fit: list[float] = []
    flat: list[float] = []
    for at, (line, case) in enumerate(measured):
        before = [one for _, one in measured[:at]]
        if at < learnt:
            continue
        found = Costs(before).predict(case.config)
        assert found is not None
        scaled = [one.cpu_seconds / one.steps * case.steps for one in before]
        fit.append(ratio(found.cpu_seconds, case.cpu_seconds))
        flat.append(ratio(statistics.median(scaled), case.cpu_seconds))
        print(
            f"  {case.cpu_seconds:8.3f} CPU s, predicted {found.cpu_seconds:8.3f} (error told: within "
            f"{found.error:.2f} times), {fit[-1]:5.2f} times off  {' '.join(line)}",
            flush=True,
        )
    for name, found_ in (("fit", fit), ("median of all by steps", flat)):
        within = sum(one <= WITHIN for one in found_) / max(1, len(found_))
        print(
            f"{name:24} within {WITHIN} times in {within:.0%} of {len(found_)}, "
            f"median {statistics.median(found_):.2f} times off"
        )


if __name__ == "__main__":
    main()
