"""Would memory have spared these real trials? python benchmarks/replay.py PATH-TO-trials.json [METHOD].

Exact repeats: each of the runs is replayed in order, and a trial whose knobs were run before in the same
run is refused. Failures: each run of METHOD (TPE) is replayed in order by a predictor that remembers all
other runs and, after every hundred trials, what it has let through itself; a trial that it refuses is never
seen again.
PATH is docs/data/trials.json of ferreirafabio/autoresearch-automl (MIT, arXiv 2603.24647): 11,172 trainings
of five minutes.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

sys.path.insert(0, str(Path(__file__).parents[1]))

from research.memory.doubts import Failures, identity

MEASURED = ("tid", "val_bpb", "success", "wt")
KNOBS = 14
AGAIN = 100
RATES = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.05)
Run = list[dict[str, Any]]


@final
@dataclass
class Score:
    """What replaying some trials found."""

    good: int = 0
    bad: int = 0
    false: int = 0
    avoided: int = 0
    saved_s: float = 0.0
    failed_s: float = 0.0

    def line(self, name: str) -> str:
        """All of it in one line."""
        saved = f"{self.saved_s / 3600:.2f} of {self.failed_s / 3600:.2f} GPU-hours"
        return (
            f"{name:22} failures avoided {self.avoided:3} of {self.bad:3} = "
            f"{_share(self.avoided, self.bad)}, false refusals {self.false:2} of {self.good:4} = "
            f"{_share(self.false, self.good)}, saved {saved}"
        )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:5.1f} %" if whole else "    -  "


def complete(run: Run) -> Run:
    """The trials whose knobs are all told: one method edits code and has none."""
    return [trial for trial in run if len(knobs(trial)) == KNOBS]


def knobs(trial: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in trial.items() if key not in MEASURED}


def repeats(name: str, runs: dict[str, Run]) -> str:
    """Exact repeats within each run, and how many of them were none or had ended otherwise."""
    each, wrong, otherwise = [], 0, 0
    for run in runs.values():
        first: dict[Any, dict[str, Any]] = {}
        again = [
            (first[same], trial)
            for trial in complete(run)
            if first.setdefault(same := identity(knobs(trial)), trial) is not trial
        ]
        each.append(len(again))
        wrong += sum(knobs(one) != knobs(two) for one, two in again)
        otherwise += sum(one["success"] != two["success"] for one, two in again)
    count = sum(len(complete(run)) for run in runs.values())
    parts = " + ".join(map(str, each))
    return (
        f"{name:22} {sum(each):4} of {count:5} refused ({parts}), "
        f"{wrong} wrongly; {otherwise} had succeeded once and failed once"
    )


def learn(memory: Run) -> Failures:
    found = Failures()
    found.learn([knobs(one) for one in memory], [not one["success"] for one in memory])
    return found


def replay(memory: Run, run: Run) -> Score:
    """One run in order: what is refused was never run, so nothing is learnt of it."""
    score, own, predictor = Score(), list[dict[str, Any]](), learn(memory)
    for start in range(0, len(run), AGAIN):
        if start:
            predictor = learn([*memory, *own])
        for trial in run[start : start + AGAIN]:
            refused = predictor.refuses(knobs(trial)) is not None
            _count(score, trial, refused)
            own += [] if refused else [trial]
    return score


def _count(score: Score, trial: dict[str, Any], refused: bool) -> None:
    if trial["success"]:
        score.good, score.false = score.good + 1, score.false + refused
    else:
        score.bad, score.avoided = score.bad + 1, score.avoided + refused
        score.failed_s += trial["wt"]
        score.saved_s += trial["wt"] * refused


def total(scores: Iterable[Score]) -> Score:
    whole = Score()
    for one in scores:
        for name in ("good", "bad", "false", "avoided", "saved_s", "failed_s"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
    return whole


def others(data: dict[str, dict[str, Run]], method: str, seed: str, same: bool) -> Run:
    """All other runs' trials; `same` keeps the method's own other seeds."""
    runs = [
        run
        for name, seeds in data.items()
        for at, run in seeds.items()
        if (name != method or same) and (name, at) != (method, seed)
    ]
    return [trial for run in runs for trial in complete(run)]


def curve(memory: Run, trials: Run) -> None:
    """What each share of false refusals would have bought, had it been known: scores of one learning."""
    scores = learn(memory).chances([knobs(one) for one in trials])
    good = sorted((s for s, one in zip(scores, trials, strict=True) if one["success"]), reverse=True)
    bad = [s for s, one in zip(scores, trials, strict=True) if not one["success"]]
    for rate in RATES:
        threshold = good[int(rate * len(good))]
        avoided = sum(score > threshold for score in bad)
        print(f"  {100 * rate:5.2f} % false refusals: {_share(avoided, len(bad))} of failures avoided")


def main() -> None:
    data: dict[str, dict[str, Run]] = json.loads(Path(sys.argv[1]).read_text())
    method = sys.argv[2] if len(sys.argv) > 2 else "TPE"
    print(
        f"{sum(len(run) for runs in data.values() for run in runs.values())} trials\n\nExact repeats in a run"
    )
    for name, runs in data.items():
        print(repeats(name, runs))
    print(f"\nFailures of {method}, at most 1 % false refusals promised")
    started = time.process_time()
    for label, same in (("all other runs", True), ("other methods", False)):
        found = {seed: replay(others(data, method, seed, same), run) for seed, run in data[method].items()}
        print(f"memory of {label}: {len(others(data, method, '0', same))} trials before seed 0")
        for seed, score in found.items():
            print(score.line(f"  {method} seed {seed}"))
        print(total(found.values()).line("  together"))
    print("memory of nothing but the run itself")
    print(total(replay([], run) for run in data[method].values()).line("  together"))
    print(f"({time.process_time() - started:.0f} CPU seconds)\n")
    print("The trade in hindsight, memory of other methods, learnt once")
    curve(others(data, method, "0", False), [trial for run in data[method].values() for trial in run])


if __name__ == "__main__":
    main()
