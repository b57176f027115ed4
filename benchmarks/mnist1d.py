"""MNIST-1D: test accuracy of four architectures beside the paper's, and what the training cost.

    python benchmarks/mnist1d.py [--seeds 3] [--protocol-steps 6000] [--root DIR]

Runs `python train.py -m experiment=mnist1d_table ...` in an empty folder and database, one trial on one
thread at a time, and reads the accuracies and the training seconds of each trial from its rows: on one thread
of a free core, wall seconds are CPU seconds. Beside it, in this process and on the same data, the paper's
plain protocol for its CNN: 6,000 steps of Adam (learning rate 0.01, batches of 100) in a bare loop;
`--protocol-steps 0` leaves it out. Printed are mean and deviation over seeds, and the seconds as a share of
that protocol's. The exit code is 1 when a mean is more than three points below the paper's, or a training
costs more than the protocol.

Paper: Greydanus (2020), arXiv 2011.14439, table 1: linear 32, MLP 68, CNN 94, GRU 91 % of 1,000 examples.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PAPER = {"linear": 32.0, "mlp_mnist1d": 68.0, "cnn": 94.0, "gru": 91.0}


def sweep(seeds: int, root: Path) -> tuple[float, str]:
    """CPU seconds of the whole command, imports included, and the database that it wrote."""
    url = f"sqlite:///{root / 'lab.db'}"
    axes = [f"model={','.join(PAPER)}", f"seed={','.join(map(str, range(seeds)))}"]
    places = [f"store.url={url}", f"root={root / 'runs'}", "logger=none"]
    alone = ["launcher.jobs=1", "launcher.threads=1"]
    before = os.times()
    line = [sys.executable, str(ROOT / "train.py"), "-m", "experiment=mnist1d_table", *axes, *places, *alone]
    subprocess.run(line, check=True, stdout=sys.stderr)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system, url


def arms(url: str) -> dict[str, list[dict[str, float]]]:
    """The metrics of every finished trial, by the model that was asked for."""
    from research.store.store import Store

    store = Store(url)
    trials = store.trials(status="done")
    results = store.results([trial.id for trial in trials])
    found: dict[str, list[dict[str, float]]] = {model: [] for model in PAPER}
    for trial in trials:
        (model,) = (text.removeprefix("model=") for text in trial.overrides if text.startswith("model="))
        found[model].append(results[trial.id].metrics)
    return found


def protocol(steps: int) -> tuple[float, float]:
    """Test accuracy in % and CPU seconds of the paper's CNN under the paper's plain protocol, seed 0."""
    import torch
    from torch import nn

    from models.data import mnist1d
    from models.data.batches import Batches

    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = mnist1d.load(batch_size=100)
    convolutions = [nn.Conv1d(1, 25, 5, 2, 1), nn.Conv1d(25, 25, 3, 2, 1), nn.Conv1d(25, 25, 3, 2, 1)]
    layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(125, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    batches = Batches(data.train, 100, seed=0)
    start = time.process_time()
    for _ in range(steps):
        inputs, targets = next(batches)
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    spent = time.process_time() - start
    with torch.no_grad():
        right = net(data.test.inputs).argmax(1) == data.test.targets
    return 100 * float(right.float().mean()), spent


def table(found: dict[str, list[dict[str, float]]], reference: float | None) -> bool:
    """Print one line per architecture; whether all of them hold."""
    print(f"{'model':12} paper {'test accuracy':>15}  n parameters  train s  share")
    lines = [line(model, found[model], reference) for model in PAPER]
    return all(lines)


def line(model: str, trials: list[dict[str, float]], reference: float | None) -> bool:
    accuracy = [100 * trial["test/accuracy"] for trial in trials]
    seconds = statistics.mean(trial["train/seconds"] for trial in trials)
    mean, spread = statistics.mean(accuracy), statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
    share = f"{seconds / reference:6.2f}" if reference else f"{'-':>6}"
    cost = f"{int(trials[0]['size/parameters']):10,} {seconds:8.2f} {share}"
    print(f"{model:12} {PAPER[model]:5.0f} {mean:8.1f} ± {spread:4.1f} {len(accuracy):2} {cost}")
    return mean >= PAPER[model] - 3 and (reference is None or seconds < reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--protocol-steps", type=int, default=6000)
    parser.add_argument("--root", type=Path, help="keep runs and database here; default: a temporary folder")
    asked = parser.parse_args()
    reference = None
    if asked.protocol_steps:
        accuracy, reference = protocol(asked.protocol_steps)
        print(f"plain protocol, CNN, {asked.protocol_steps} steps: {accuracy:.1f} %, {reference:.1f} CPU s")
    with tempfile.TemporaryDirectory() as folder:
        root = (asked.root or Path(folder)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        cpu, url = sweep(asked.seeds, root)
        holds = table(arms(url), reference)
    trials = len(PAPER) * asked.seeds
    print(f"the whole command: {cpu:.1f} CPU s for {trials} trials, imports and tests included")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
