"""Findings as sentences: what is claimed, how sure it is, and the command that repeats it."""

import math
import shlex
from collections.abc import Iterable, Sequence

from research.metrics import is_energy, shown, words
from research.stats.effects import Gain
from research.stats.intervals import interval, places, spelt, told
from research.types import STOPPED, Comparison, Constraint, Direction, Verdict


def stopped(reason: str | None) -> str | None:
    """Why a trial was ended that could not win, without what its process says around it; None for others."""
    said = (reason or "").split(" [printed: ")[0]
    return said.partition(f"{STOPPED}: ")[2] or said if STOPPED in said else None


def claim_sentence(
    overrides: Sequence[str],
    verdict: Verdict,
    direction: Direction,
    constraints: Iterable[Constraint],
    energy_method: str,
    baseline: Sequence[str] = (),
    split: Gain | None = None,
) -> str:
    """The finding in one sentence, worded by its verdict and never beyond it.

    `baseline` are the overrides of a control that is not the defaults; `split` are the parts of a gain where
    there is a control stopped at the bound.
    """
    arm = f"`{' '.join(overrides)}`"
    compared = verdict.comparison
    if compared is None:
        return f"Nothing can be said of {arm}: {verdict.reason}."
    metric = compared.metric
    verb = "lowers" if direction == "min" else "raises"
    bounds = " and ".join(shown(bound) for bound in constraints)
    does = f"{arm} {verb} {words(metric)}"
    method = f" ({method_words(energy_method)})" if is_energy(metric) else ""
    if verdict.word == "supported":
        kept = f", keeping {bounds}" if bounds else ""
        gain = improvement(verdict.size or compared, direction, verdict.told_by)
        control = f"`{' '.join(baseline)}`" if baseline else "the control"
        parts = "" if split is None else f": {split.words}"
        return f"{does} by {gain} against {control}{kept}{method}{parts}."
    if verdict.word == "refuted":
        kept = f" and keeps {' and '.join(verdict.bounds)}" if verdict.bounds else ""
        return f"The claim that {does}{kept} is refuted: {verdict.reason}{method}."
    if not verdict.by_bounds:
        kept = f" and keeps {' and '.join(verdict.bounds)}" if verdict.bounds else ""
        return f"Whether {does}{kept} is open: {verdict.reason}{method}."
    beside = f"{words(metric)} changes by {difference(compared)}, n = {compared.n} pairs"
    kept = " and ".join(verdict.bounds)
    why = verdict.reason.removeprefix(f"{kept}: ")
    return f"Whether {arm} keeps {kept} is open: {why}; {beside}{method}."


def improvement(compared: Comparison, direction: Direction, told_by: str = "") -> str:
    """A gain with interval and n, without its sign: `43.2 % [35.3, 50.1] (97.8 % interval, n = 5 pairs)`.

    `told_by` is how the size was obtained, where it is not that of what decided.
    """
    sign = -1 if direction == "min" else 1
    ends = sorted((sign * compared.low, sign * compared.high))
    low, high, gain = (spelt(end, places=places(compared)) for end in (*ends, sign * compared.difference))
    by = f", {told_by}" if told_by else f", n = {compared.n} pairs"
    sure = f"{100 * compared.level:.3g} % interval{by}{told(compared.over)}"
    return f"{gain}{compared.unit} [{low}, {high}] ({sure})"


def difference(compared: Comparison) -> str:
    """Treatment minus control with its interval, `-12.1 % [-14, -9.8]`; one pair has none."""
    if not compared.n:
        return "not measured in pairs"
    known = math.isfinite(compared.high - compared.low)
    ends = interval(compared) if known else "(no interval)"
    return f"{spelt(compared.difference, '+', places(compared) if known else None)}{compared.unit} {ends}"


def method_words(method: str) -> str:
    """How joules were taken, so that an estimate is never read as a measurement."""
    if method == "not measured":
        return "joules not measured"
    if "estimated" not in method:
        return f"joules by {method}"
    if method == "estimated":
        return "joules are estimated, not measured"
    return f"joules are partly estimated: {method}"


def command(overrides: Sequence[str], seeds: Sequence[int]) -> str:
    """The line that repeats an arm; a known trial is looked up, `force=true` trains it again."""
    swept = f"seed={','.join(map(str, seeds))}" if seeds else ""
    several = ["-m"] if len(seeds) > 1 else []
    return " ".join(["python train.py", *several, *map(shlex.quote, overrides), swept]).strip()
