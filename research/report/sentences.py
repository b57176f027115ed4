"""Findings as sentences: what is claimed, how sure it is, and the command that repeats it."""

import shlex
from collections.abc import Iterable, Sequence

from research.objective import is_energy, shown, words
from research.types import Comparison, Constraint, Direction, Verdict


def claim_sentence(
    overrides: Sequence[str],
    verdict: Verdict,
    direction: Direction,
    constraints: Iterable[Constraint],
    energy_method: str,
) -> str:
    """The finding in one sentence, worded by its verdict and never beyond it."""
    arm = f"`{' '.join(overrides)}`"
    found = verdict.comparison
    if found is None:
        return f"Nothing can be said of {arm}: {verdict.reason}."
    metric = found.metric.removesuffix(" [%]")
    verb = "lowers" if direction == "min" else "raises"
    bounds = " and ".join(shown(one) for one in constraints)
    told = f"{words(metric)} {difference(found)}"
    method = f" ({method_words(energy_method)})" if is_energy(metric) else ""
    if verdict.word == "supported":
        kept = f", keeping {bounds}" if bounds else ""
        return f"{arm} {verb} {told} against the control{kept}{method}."
    if verdict.word == "refuted":
        return f"The claim that {arm} {verb} {words(metric)} is refuted: {told}; {verdict.reason}{method}."
    return f"Whether {arm} {verb} {words(metric)} is open: {told}; {verdict.reason}{method}."


def difference(found: Comparison) -> str:
    """A difference with interval and n: `by -43.2 % [-50.1, -35.3] (97.8 % interval, n = 5 pairs)`."""
    unit = " %" if found.metric.endswith("[%]") else ""
    interval = f"[{found.low:.4g}, {found.high:.4g}]"
    sure = f"{100 * found.level:.3g} % interval, n = {found.n} pairs"
    return f"by {found.difference:+.4g}{unit} {interval} ({sure})"


def method_words(method: str) -> str:
    """How joules were taken, so that an estimate is never read as a measurement."""
    if method == "not measured":
        return "joules not measured"
    if "estimated" not in method:
        return f"joules by {method}"
    return "an estimate: joules are " + (
        "estimated" if method == "estimated" else f"partly estimated, {method}"
    )


def command(overrides: Sequence[str], seeds: Sequence[int]) -> str:
    """The line that repeats an arm; a known trial is looked up, `force=true` trains it again."""
    swept = f"seed={','.join(map(str, seeds))}" if seeds else ""
    several = ["-m"] if len(seeds) > 1 else []
    return " ".join(["python train.py", *several, *map(shlex.quote, overrides), swept]).strip()
