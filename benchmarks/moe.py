"""Mixtures of experts beside the dense byte GPT of equal active arithmetic: bits per byte, balance, time.

    python benchmarks/moe.py [--seeds 3] [--steps 400] [--repeats 60] [--only quality|time]

Quality: `model=gpt`, `model=moe_gpt` (balanced by a loss) and `model=moe_gpt_loss_free`, as their options set
them, learn the standard library's text with the same steps, batches and learning rate; seeds pair initial
weights and the order of batches. Bits per byte and loads are of the whole test split after the last step, the
violation (largest load over mean load, less 1) for each layer, given as the mean and the most of the layers.
Intervals are paired 95 % t-intervals. The test split is 6 % of the text, since loads on the few files of 2 %
tell more of these files than of the router. Routing costs what no FLOP tells, so beside the dense network of
equal steps stands one of equal CPU seconds, which trains for more steps with its schedule fitted to them; at
equal cost the experts' gain is the one against that. The learning rate, 0.01, is `optimizer=adamw_pytext`'s.

Time: CPU seconds of whole training steps of `model=gpt` and `model=moe_gpt_top1`, whose arithmetic differs by
the router's only, turn by turn on one thread, at two widths; the medians' ratio.

Targets: the experts' bits per byte are lower; the bias brings the mean violation to 0.1 or less, below the
loss's, at no worse bits per byte. The exit code is 1 when one is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
import yaml  # noqa: E402
from torch import nn  # noqa: E402

from models.data import pytext  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.measure.cost import measure  # noqa: E402
from models.nets.gpt import GPT  # noqa: E402
from models.nets.moe_gpt import MoEGPT  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.objective import objective  # noqa: E402
from research.stats.intervals import compare, summary  # noqa: E402
from research.types import Comparison  # noqa: E402

RATE = 0.01
ARMS = ("gpt", "moe_gpt", "moe_gpt_loss_free")
EQUAL = "gpt, CPU s alike"
BPB, EVEN, WORST = "test/bits_per_byte", "moe/max_violation", "moe/max_violation_worst"
Found = dict[str, dict[int, dict[str, float]]]
"""arm -> seed -> metrics"""


def built(option: str, data: Dataset, **changes: int) -> nn.Module:
    """The network of an option file, for the data."""
    given = yaml.safe_load((ROOT / "conf" / "model" / f"{option}.yaml").read_text())
    kind = GPT if given.pop("_target_").endswith(".GPT") else MoEGPT
    own = {"shape": data.shape, "classes": data.classes, "task": data.task}
    return kind(**(given | own | changes))


def stepper(net: nn.Module, batches: Batches) -> Callable[[float], None]:
    """A training step, given its learning rate."""
    # As optimizer=adamw_pytext has it.
    optimizer = torch.optim.AdamW(net.parameters(), RATE, (0.9, 0.99), weight_decay=0.01, fused=True)
    goal = objective(lambda logits, targets: nn.functional.cross_entropy(logits.mT, targets))

    def step(rate: float) -> None:
        optimizer.param_groups[0]["lr"] = rate
        goal(net, *next(batches)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def trained(option: str, data: Dataset, steps: int, seed: int) -> dict[str, float]:
    """Scores, loads and cost after training."""
    torch.manual_seed(seed)
    net = built(option, data)
    step = stepper(net, Batches(data.train, data.batch_size, seed))
    started = time.process_time()
    for at in range(steps):
        step(RATE * cosine(at / steps, floor=0.01))
    found = {"seconds": time.process_time() - started}
    scores, _ = evaluate(net, data.test, data.task, data.batch_size, data.classes)
    own = net.metrics() if isinstance(net, MoEGPT) else {}
    cost = measure(net, data.test.inputs[:1].long())[0]
    return {f"test/{name}": value for name, value in scores.items()} | own | found | cost


def quality(seeds: int, steps: int) -> bool:
    """Print the table of arms and the comparisons; whether all targets are reached."""
    data = pytext.load(batch_size=32, shape=(64,), test_share=0.06)
    found: Found = {arm: {} for arm in ARMS}
    for seed in range(seeds):
        for arm in ARMS:
            found[arm][seed] = trained(arm, data, steps, seed)
            print(f"  seed {seed} {arm}: {found[arm][seed][BPB]:.4f}", file=sys.stderr, flush=True)
    dense, experts = (mean(list(found[arm].values()), "seconds") for arm in ("gpt", "moe_gpt"))
    longer = max(1, round(steps * experts / dense))
    found[EQUAL] = {seed: trained("gpt", data, longer, seed) for seed in range(seeds)}
    print(f"{steps} steps of 32 x 64 bytes, n = {seeds}, test split of {data.test.targets.numel():,} bytes")
    print(
        f"{'arm':18} {'bits per byte':>17} {'violation':>15} {'worst':>6} {'FLOPs/byte':>10}  weights  CPU s"
    )
    for arm in (*ARMS, EQUAL):
        print(line(arm, list(found[arm].values()), data.shape[0]))
    print(f"{EQUAL}: gpt for {longer} steps")
    lower(found, "moe_gpt", EQUAL)
    held = [lower(found, "moe_gpt", "gpt"), balanced(found), not_worse(found)]
    return all(held)


def line(arm: str, trials: list[dict[str, float]], length: int) -> str:
    bits = spread([trial[BPB] for trial in trials], 4)
    even = spread([trial[EVEN] for trial in trials], 3) if EVEN in trials[0] else "-"
    worst = f"{max(trial[WORST] for trial in trials):.3f}" if EVEN in trials[0] else "-"
    flops, seconds = trials[0]["compute/flops_forward"] / length, mean(trials, "seconds")
    weights = int(trials[0]["size/parameters"])
    return f"{arm:18} {bits:>17} {even:>15} {worst:>6} {flops:10,.0f} {weights:8,} {seconds:6.1f}"


def lower(found: Found, arm: str, control: str) -> bool:
    told = paired(found, arm, control)
    print(f"{arm} - {control}: {told.difference:+.4f} [{told.low:+.4f}, {told.high:+.4f}] bits per byte")
    return told.high < 0


def balanced(found: Found) -> bool:
    with_loss, with_bias = (mean(list(found[arm].values()), EVEN) for arm in ARMS[1:])
    print(f"violation: {with_bias:.3f} with the bias (target 0.1), {with_loss:.3f} with the loss")
    return with_bias <= 0.1 and with_bias < with_loss


def not_worse(found: Found) -> bool:
    """Whether the interval leaves room for no loss, at n = 3 a weak claim: the interval is printed."""
    told = paired(found, "moe_gpt_loss_free", "moe_gpt")
    print(f"bias - loss: {told.difference:+.4f} [{told.low:+.4f}, {told.high:+.4f}] bits per byte")
    return told.low <= 0


def paired(found: Found, arm: str, control: str) -> Comparison:
    sides = ({seed: trial[BPB] for seed, trial in found[name].items()} for name in (control, arm))
    return compare(*sides, metric=BPB)


def mean(trials: list[dict[str, float]], key: str) -> float:
    return statistics.mean(trial[key] for trial in trials)


def spread(values: list[float], digits: int) -> str:
    told = summary(values)
    return f"{told.mean:.{digits}f} ± {told.std or 0.0:.{digits}f}"


def times(repeats: int) -> None:
    """Print the ratio of step times at two widths."""
    data = pytext.load(batch_size=32, shape=(64,))
    for width in (64, 128):
        taken: dict[str, list[float]] = {"gpt": [], "moe_gpt_top1": []}
        steps = {
            arm: stepper(built(arm, data, width=width), Batches(data.train, data.batch_size, 0))
            for arm in taken
        }
        for turn in range(repeats):
            for arm in list(taken)[:: 1 if turn % 2 else -1]:
                started = time.process_time()
                steps[arm](1e-3)
                taken[arm].append(time.process_time() - started)
        dense, sparse = (statistics.median(values[3:]) for values in taken.values())
        per_turn = [b / a for a, b in zip(*taken.values(), strict=True)][3:]
        low, _, high = statistics.quantiles(per_turn, n=4)
        print(
            f"width {width}: step of top-1 over dense {sparse / dense:.2f} "
            f"(quartiles {low:.2f} to {high:.2f}), {1e3 * sparse:.1f} and {1e3 * dense:.1f} CPU ms, "
            f"n = {repeats} turns"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--only", choices=["quality", "time"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, CPU, one thread")
    if asked.only != "quality":
        times(asked.repeats)
    sys.exit(0 if asked.only == "time" or quality(asked.seeds, asked.steps) else 1)


if __name__ == "__main__":
    main()
