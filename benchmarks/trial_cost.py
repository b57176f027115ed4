"""CPU seconds of one more trial of a sweep, an older checkout beside this one, and where they go.

    python benchmarks/trial_cost.py OLD_CHECKOUT [--turns 5] [--trials 12] [--steps 200] [OVERRIDE ...]

Each turn runs the same seeds of the digits MLP in both checkouts, one at a time and with one thread, through
their own `research/run/runner.py`. What counts is the user and system time of each trial, from the fourth on:
by then imports and caches are paid. A trial with a process to itself is charged with all of it, by `wait4`;
one of several in a process with what that took from the end of the trial before to its own end, so that the
first one has the process's start. A turn's figure is the median of its trials; the means of all of them are
compared as well, first ones included. `alone` has each trial in a process to itself: what its steps cost must
not tell where it ran. Printed are both medians over the turns with their range, and the ratio
of each pair of turns (to reach: 0.65); then where the time of a trial goes, taken in runs of their own, since
looking costs time as well.
"""

import argparse
import contextlib
import functools
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "JOULELAB_TRIAL_COST"
PAID = 3
"""trials whose time is not counted"""
TURNS = "models.training.leftovers:state"
"""where the checkout knows of it: what must be as before so that a process may run another trial"""
PARTS = {
    "parts from the config": ["train:build"],
    "row and identity": [
        "research.store.store:Store.claim",
        "research.store.store:Store.finish",
        "research.space.identity:key",
    ],
    "steps": ["models.training.lit:Lit.training_step"],
    "Lightning's set-up": ["models.training.settings:build", "lightning.pytorch:Trainer.fit"],
    "validations": ["models.training.callbacks.curve:Curve._add"],
    "checkpoint": ["models.training.callbacks.checkpoint:Checkpoint._save"],
    "weights": ["models.compress.artefact:save"],
    "latency": ["models.measure.latency:measure"],
    "counts": ["models.measure.cost:measure", "models.training.fit:_activations"],
    "peak": ["models.measure.peak:peak_flops"],
    "final scores": ["models.trial:evaluate"],
    "meter's start": ["models.energy.meter:Meter.start"],
}
"""what a trial does -> functions of either checkout that do it; each is charged without what lies inside"""
EARLIER = {
    "models.energy.meter": "models.energy",
    "models.measure.cost": "models.cost",
    "models.measure.latency": "models.latency",
    "models.measure.peak": "models.peak",
    "models.startup.lean": "models.lean",
    "models.training.callbacks.checkpoint": "models.callbacks.checkpoint",
    "models.training.callbacks.curve": "models.callbacks.curve",
    "models.training.fit": "models.fit",
    "models.training.lit": "models.lit",
    "models.training.settings": "models.trainer",
    "research.compose.compose": "research.gate.compose",
    "research.run.runner": "research.runner",
    "research.space.identity": "research.identity",
    "research.store.store": "research.store",
}
"""modules -> what they were called in older checkouts"""
OWN = {"new, a search's look": ["unmeasured=[infer]"], "new, alone": ["--alone"]}
"""what is asked of one of the places only"""


def of_checkout(name: str) -> Any:
    """A module under the name that it has here."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return importlib.import_module(EARLIER[name])


@contextlib.contextmanager
def watched(spent: dict[str, float]) -> Iterator[None]:
    """Have each of `PARTS` add its CPU seconds to `spent`."""
    open_parts: list[float] = []
    before: list[tuple[Any, str, Any]] = []

    def timed(label: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def measured(*args: Any, **named: Any) -> Any:
            began = time.process_time()
            open_parts.append(0.0)
            try:
                return work(*args, **named)
            finally:
                whole = time.process_time() - began
                spent[label] = spent.get(label, 0.0) + whole - open_parts.pop()
                if open_parts:
                    open_parts[-1] += whole

        return measured

    for label, places in PARTS.items():
        for place in places:
            module, _, path = place.partition(":")
            owner: Any = of_checkout(module)
            *classes, name = path.removesuffix(".__wrapped__").split(".")
            for step in classes:
                owner = getattr(owner, step)
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, timed(label, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, work in before:
            setattr(owner, name, work)


def told(config: dict[str, Any], **named: Any) -> dict[str, Any]:
    """A trial that tells where its CPU seconds went; called in a child of a runner."""
    of_checkout("models.startup.lean")  # first, as in a trial
    import train

    earlier = named.get("spent_s", 0.0)
    spent = {"before the trial": time.process_time() - earlier}
    with watched(spent):
        answer = train.trial(config, **named)
    spent["all"] = time.process_time() - earlier
    return answer | {"facts": answer["facts"] | {"parts": spent}}


def inside(asked: argparse.Namespace) -> None:
    """Run the trials in the checkout that is the working folder; prints JSON."""
    composing = of_checkout("research.compose.compose")
    running = of_checkout("research.run.runner")

    with tempfile.TemporaryDirectory() as folder:
        compose = composing.Composer(Path("conf").absolute(), "train")
        fixed = [
            *(
                "budget.epochs=null",
                f"budget.steps={asked.steps}",
                "budget.seconds=null",
                "budget.joules=null",
            ),
            *(
                "logger=csv",
                f"store.url=sqlite:///{folder}/trials.db",
                f"root={folder}/runs",
                *asked.overrides,
            ),
        ]
        lines = [[*fixed, f"seed={seed}"] for seed in range(asked.trials)]
        jobs = [running.Job(compose.resolve(line).config, line, "cost") for line in lines]
        task = "trial_cost:told" if asked.parts else "train:trial"
        began = os.times()
        alone = {"turns": 1} if asked.alone else {}
        with running.Runner(1, 1, logs=Path(folder) / "logs", task=task, **alone) as runner:
            ended = list(runner.run(jobs))
        after = os.times()
    if bad := [one.reason for one in ended if not one.ok]:
        raise SystemExit(f"{len(bad)} trials failed: {bad[0]}")
    rest = after.user + after.system - began.user - began.system
    rest += after.children_user + after.children_system - began.children_user - began.children_system
    print(
        json.dumps(
            {
                "cpu_s": [one.cpu_s for one in ended[PAID:]],
                "steps_s": [one.metrics.get("train/cpu_seconds") for one in ended[PAID:]],
                "parts": [one.facts.get("parts") for one in ended[PAID:]],
                "mean_s": statistics.fmean(one.cpu_s for one in ended),
                "around_s": rest - sum(one.cpu_s for one in ended),
            }
        )
    )


def turn(
    checkout: Path, asked: argparse.Namespace, *, parts: bool = False, own: Sequence[str] = ()
) -> dict[str, Any]:
    """What the trials of one run in a checkout took."""
    places = os.pathsep.join([str(checkout), str(ROOT / "benchmarks")])
    command = [sys.executable, "-m", "trial_cost", str(checkout), "--trials", str(asked.trials)]
    command += ["--steps", str(asked.steps), *["--parts"] * parts, *asked.overrides, *own]
    env = os.environ | {"PYTHONPATH": places, INSIDE: "1"}
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout} failed:\n{done.stdout}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}, n = {len(values)})"


def show_parts(runs: dict[str, dict[str, Any]]) -> None:
    """A line for each part, in ms, the old checkout's first."""
    print(f"\n{'CPU ms of a trial, median':28}{''.join(f'{name[-10:]:>11}' for name in runs)}")
    children = {name: run["parts"] for name, run in runs.items()}
    for label in ["before the trial", *PARTS]:
        medians = [
            statistics.median(1000 * one.get(label, 0.0) for one in told) for told in children.values()
        ]
        print(f"{label:28}{''.join(f'{one:11.1f}' for one in medians)}")
    others = [
        statistics.median(2000 * one["all"] - 1000 * sum(one.values()) for one in told)
        for told in children.values()
    ]
    print(f"{'all else':28}{''.join(f'{one:11.1f}' for one in others)}")


def show(figures: dict[str, dict[str, list[float]]], asked: argparse.Namespace) -> None:
    """The figures of each place, and those of each beside the old one's in the same turn."""

    def beside(name: str, other: str, what: str) -> str:
        pairs = zip(figures[other][what], figures[name][what], strict=True)
        return spread([value / base for base, value in pairs])

    for name, found in figures.items():
        print(f"{name}: {spread(found['median'])} CPU s for one more trial of {asked.steps} steps")
    for name in [*figures][1:]:
        print(f"ratio of {name}: {beside(name, 'old', 'median')}, to reach: 0.65")
        print(
            f"  of the means of all {asked.trials} trials, first ones included: {beside(name, 'old', 'mean')}"
        )
    print(f"steps of a trial in turns, of those of one alone: {beside('new', 'new, alone', 'steps')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    for name, value in (("--turns", 5), ("--trials", 12), ("--steps", 200)):
        parser.add_argument(name, type=int, default=value)
    for name in ("--parts", "--alone"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_intermixed_args()
    if asked.trials <= PAID:
        parser.error(f"--trials must be more than the {PAID} that are not counted")
    if os.environ.get(INSIDE):
        return inside(asked)
    places = {"old": asked.old.resolve(), "new": ROOT, **dict.fromkeys(OWN, ROOT)}
    figures: dict[str, dict[str, list[float]]] = {
        name: {"median": [], "mean": [], "steps": []} for name in places
    }
    for number in range(asked.turns):
        for name in list(places) if number % 2 == 0 else [*places][::-1]:
            ran = turn(places[name], asked, own=OWN.get(name, ()))
            figures[name]["median"].append(statistics.median(ran["cpu_s"]))
            figures[name]["mean"].append(ran["mean_s"])
            figures[name]["steps"].append(statistics.median(one or 0.0 for one in ran["steps_s"]))
            print(f"  {name}: {figures[name]['median'][-1]:.3f} CPU s a trial", file=sys.stderr, flush=True)
    show(figures, asked)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    runs = {name: turn(place, asked, parts=True, own=OWN.get(name, ())) for name, place in places.items()}
    show_parts(runs)
    steps = [
        one / all_s for one, all_s in zip(runs["new"]["steps_s"], runs["new"]["cpu_s"], strict=True) if one
    ]
    print(f"steps are {statistics.median(steps):.0%} of a trial's CPU seconds in the new one")


if __name__ == "__main__":
    main()
