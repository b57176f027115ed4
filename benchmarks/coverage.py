"""How often nominal 95 % intervals of an accuracy cover what they are about.

    python benchmarks/coverage.py [SPLITS [SEEDS [DRAWS]]]      60 splits, 8 seeds, 2000 draws: ten minutes

Small MLPs, of which one arm is wider and learns faster, are trained over many splits and seeds of digits and
MNIST-1D, all seeds of a split as one batch of networks. What a campaign of n seeds would have seen is then
drawn from them, with replacement, and read by the lab's own `compare`, `summary` and `crossed`:

- n seeds of one split against n seeds that each draw a split, about the mean over splits: of an arm, of the
  paired difference, and how often "as good as" is said of an arm that loses exactly the margin;
- n seeds on one fixed test set of examples drawn from a larger pool, about the mean over the pool: Student's
  t over the seeds alone, and with the examples' variance;
- leakage: the best of 24 configurations by validation on one split, and whether it gains more, on other
  splits, on test examples that have chosen it than on those that have not.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from scipy.stats import binomtest
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.data import digits, mnist1d
from models.data.dataset import Dataset, Split
from models.data.splits import shuffled
from research.stats.decide import critical
from research.stats.draws import crossed
from research.stats.intervals import compare, summary
from research.stats.verdicts import as_good_as

COUNTS, LEVEL, MARGIN = (3, 5, 8), 0.95, 0.01
WANTED = (0.93, 0.97)
_BATCH, _MOST = 128, 128
Load = Callable[[int], Dataset]
Table = np.ndarray


@final
@dataclass(frozen=True)
class Arm:
    """One configuration of the small network."""

    width: int
    rate: float
    steps: int = 200


ARMS = (Arm(24, 0.005), Arm(48, 0.008))
GRID = [Arm(*one) for one in itertools.product((16, 32, 64), (0.002, 0.005, 0.01, 0.02), (100, 200))]


def trained(train: Split, runs: Sequence[tuple[Arm, int]]) -> Callable[[Split], Table]:
    """Train all runs (arm, seed) on one split as one batch; returns what judges them: (runs, examples) right.

    Adam on minibatches; unused hidden units of the narrower arms are masked, steps beyond an arm's are not
    taken. Every run has its own initial weights and order.
    """
    inputs, size = train.inputs.flatten(1), len(runs)
    generators = [torch.Generator().manual_seed(1_000_003 * seed + arm.width) for arm, seed in runs]
    shapes = ((inputs.shape[1], _MOST), (1, _MOST), (_MOST, 10), (1, 10))
    scales = (inputs.shape[1] ** -0.5, 0.0, _MOST**-0.5, 0.0)
    weights = [
        torch.stack([scale * torch.randn(shape, generator=one) for one in generators]).requires_grad_()
        for shape, scale in zip(shapes, scales, strict=True)
    ]
    mask = torch.zeros(size, 1, _MOST)
    for place, (arm, _) in enumerate(runs):
        mask[place, 0, : arm.width] = 1.0
    rates = torch.tensor([arm.rate for arm, _ in runs]).view(-1, 1, 1)
    lengths = torch.tensor([arm.steps for arm, _ in runs]).view(-1, 1, 1)
    moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in weights]
    orders = torch.stack(
        [torch.randint(len(train), (int(lengths.max()), _BATCH), generator=g) for g in generators]
    )
    for step in range(int(lengths.max())):
        rows = orders[:, step]
        logits = answers(weights, mask, inputs[rows])
        loss = (
            functional.cross_entropy(logits.flatten(0, 1), train.targets[rows].flatten(), reduction="sum")
            / _BATCH
        )
        gradients = torch.autograd.grad(loss, weights)
        decay = rates * (1 - step / lengths).clamp(min=0)
        for one, gradient, (first, second) in zip(weights, gradients, moments, strict=True):
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            move = first / (1 - 0.9 ** (step + 1)) / ((second / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
            one.data.sub_(decay * move)

    def right(split: Split) -> Table:
        with torch.no_grad():
            logits = answers(weights, mask, split.inputs.flatten(1).expand(size, -1, -1))
        return (logits.argmax(-1) == split.targets).numpy()

    return right


def answers(weights: Sequence[torch.Tensor], mask: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(runs, B, 10) logits from (runs, B, features)."""
    first, bias, second, last = weights
    return torch.baddbmm(last, torch.baddbmm(bias, inputs, first).relu() * mask, second)


def over_splits(load: Load, splits: int, seeds: int) -> Table:
    """(splits, seeds, arms) test accuracy."""
    runs = [(arm, seed) for seed in range(seeds) for arm in ARMS]
    found = []
    for split in range(splits):
        data = load(1000 + split)
        found.append(trained(data.train, runs)(data.test).mean(1).reshape(seeds, len(ARMS)))
    return np.array(found)


def covered(truth: float, mean: float, half: float | None) -> bool:
    return half is not None and abs(mean - truth) <= half


def seeds_of(table: Table, n: int, anew: bool, rng: np.random.Generator) -> Table:
    """(n, arms): what n seeds would measure, each on a split of its own or all on one."""
    splits = rng.integers(len(table), size=n if anew else 1)
    return table[splits, rng.integers(table.shape[1], size=n)]


def rates(table: Table, n: int, anew: bool, draws: int) -> tuple[int, int, int]:
    """Of so many draws: intervals that cover an arm's mean, the difference; false claims of being as good."""
    rng = np.random.default_rng([n, anew])
    truth = table.mean((0, 1))
    gap = float(truth[1] - truth[0])
    arm = difference = alike = 0
    for _ in range(draws):
        drawn = seeds_of(table, n, anew, rng)
        control, treatment = (dict(enumerate(map(float, column))) for column in drawn.T)
        told = summary(treatment.values(), LEVEL)
        arm += covered(float(truth[1]), told.mean, told.half_width)
        found = compare(control, treatment, "test/accuracy", LEVEL)
        difference += found.low <= gap <= found.high
        # Moved so that it loses exactly the margin: to say that it is as good is false.
        moved = {seed: value - gap - MARGIN for seed, value in treatment.items()}
        said = as_good_as(control, moved, metric="test/accuracy", direction="max", margin=MARGIN)
        alike += said.word == "supported"
    return arm, difference, alike


def shown(count: int, draws: int) -> str:
    ends = binomtest(count, draws).proportion_ci(method="exact")
    return f"{count / draws:6.1%} [{ends.low:.1%}, {ends.high:.1%}]"


def kept(count: int, draws: int) -> bool:
    """Whether a coverage lies where it should, up to chance."""
    ends = binomtest(count, draws).proportion_ci(confidence_level=0.99, method="exact")
    return bool(ends.low <= WANTED[1] and ends.high >= WANTED[0])


def splits_table(name: str, load: Load, splits: int, seeds: int, draws: int) -> bool:
    table = over_splits(load, splits, seeds)
    within, between = table.std(1, ddof=1).mean(0)[1], table.mean(1).std(0, ddof=1)[1]
    print(
        f"\n{name}: accuracy {table.mean((0, 1))[1]:.3f}; SD over the seeds of one split {100 * within:.2f} "
        f"points, of the splits' means {100 * between:.2f} ({splits} splits, {seeds} seeds)",
        flush=True,
    )
    print(f"{'':30}{'an arm':24}{'the difference':24}falsely as good (5 %)")
    good = True
    for n, anew in itertools.product(COUNTS, (False, True)):
        arm, difference, alike = rates(table, n, anew, draws)
        what = f"n = {n}, {'a split each' if anew else 'one split'}"
        cells = [shown(count, draws) for count in (arm, difference, alike)]
        print(f"{what:30}{cells[0]:24}{cells[1]:24}{cells[2]}", flush=True)
        good &= not anew or (kept(arm, draws) and kept(difference, draws))
    return good


def fixed_table(name: str, train: Split, pool: Split, tested: int, draws: int) -> bool:
    """One training set, test sets of `tested` examples drawn from the pool."""
    runs = [(arm, seed) for seed in range(40) for arm in ARMS]
    right = trained(train, runs)(pool).reshape(40, len(ARMS), len(pool)).astype(float)
    changes = {"an arm": right[:, 1], "the difference": right[:, 1] - right[:, 0]}
    print(f"\n{name}: one training set, {tested} test examples of a pool of {len(pool)}")
    print(f"{'':30}{'seeds alone':24}with the examples")
    good = True
    for (what, values), n in itertools.product(changes.items(), COUNTS):
        alone, both = fixed_rates(values, n, tested, draws)
        print(f"{f'n = {n}, {what}':30}{shown(alone, draws):24}{shown(both, draws)}", flush=True)
        good &= kept(both, draws)
    return good


def fixed_rates(values: Table, n: int, tested: int, draws: int) -> tuple[int, int]:
    rng = np.random.default_rng([n, tested])
    truth = float(values.mean())
    alone = both = 0
    for _ in range(draws):
        rows = values[rng.integers(len(values), size=n)][:, rng.integers(values.shape[1], size=tested)]
        told = summary(rows.mean(1).tolist(), LEVEL)
        alone += covered(truth, told.mean, told.half_width)
        spread = crossed(rows.tolist())
        assert spread is not None
        both += covered(
            truth, told.mean, critical((1 - LEVEL) / 2, round(spread.freedom)) * spread.variance**0.5
        )
    return alone, both


def leak(splits: int) -> None:
    """Print what a winner of one split's validation gains, on other splits, on the examples that chose it."""
    scored = np.full((splits, len(GRID), 1797), np.nan)
    chosen, validated = [], []
    for split in range(splits):
        data, order = load_digits(split), shuffled(1797, split).numpy()
        right = trained(data.train, [(arm, split) for arm in GRID])
        scored[split][:, order[:359]] = right(data.test)
        chosen.append(int(right(data.val).mean(1).argmax()))
        validated.append(np.isin(np.arange(1797), order[359:718]))
    gains = np.array(list(leaks(scored, chosen, validated)))
    (own, rest), more = 100 * gains.mean(0), 20 * (gains[:, 0] - gains[:, 1])
    print(
        f"\nleakage on digits, {splits} splits: the best of {len(GRID)} by validation on one split gains\n"
        f"over the middle one, on other splits, {own:+.2f} points on test examples that chose it and\n"
        f"{rest:+.2f} on the rest. A fifth are the former: the gain is told as {more.mean():+.3f} points\n"
        f"too much (SE {more.std(ddof=1) / splits**0.5:.3f})"
    )


def leaks(scored: Table, chosen: Sequence[int], validated: Sequence[Table]) -> Iterator[tuple[float, float]]:
    """For each split whose validation chose: its winner's gain on others, over (chose it, did not)."""
    middle = int(np.argsort(np.nanmean(scored, (0, 2)))[len(GRID) // 2])
    for split, (winner, mask) in enumerate(zip(chosen, validated, strict=True)):
        others = np.delete(scored, split, 0)
        gain = others[:, winner] - others[:, middle]
        yield float(np.nanmean(gain[:, mask])), float(np.nanmean(gain[:, ~mask]))


def load_digits(seed: int) -> Dataset:
    return digits.load(batch_size=_BATCH, split_seed=seed)


def load_mnist1d(seed: int) -> Dataset:
    return mnist1d.load(batch_size=_BATCH, split_seed=seed)


def main() -> None:
    given = [int(one) for one in sys.argv[1:]]
    splits, seeds, draws = [*given, *(60, 8, 2000)[len(given) :]]
    # Networks this small gain nothing by a second thread, which beside other processes only waits.
    torch.set_num_threads(1)
    began = time.process_time()
    good = splits_table("digits", load_digits, splits, seeds, draws)
    good &= splits_table("MNIST-1D", load_mnist1d, splits, seeds, draws)
    pool = mnist1d.load(batch_size=_BATCH, test_size=20_000)
    good &= fixed_table("MNIST-1D", pool.train, pool.test, 1000, draws // 2)
    cut = digits.load(batch_size=_BATCH, test_share=0.5)
    good &= fixed_table("digits", cut.train, cut.test, 359, draws // 2)
    leak(splits)
    print(f"\n93 to 97 % wherever it should be, up to chance: {'yes' if good else 'NO'}")
    print(f"{time.process_time() - began:.0f} CPU seconds")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
