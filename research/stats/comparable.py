"""Which figures may stand side by side: clocks need one machine, one instrument and no foreign neighbour.

This is the one place that says so: confirmation, comparisons, tables, fronts, memory and early stopping ask.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, final

from research.metrics import is_carbon, is_cpu_time, is_energy, is_of_network, is_timed, window
from research.stats import draws
from research.types import Result, Trial

OLD = "the old instrument: wall time x watts, validations included"
"""the basis of joules whose rows name none"""
SIDE_BY_SIDE_S = 900.0
"""how far apart two trainings of no common sweep may have begun and still meet the same machine"""


@final
class Provenance(NamedTuple):
    """One trial's figures with what says how they were taken."""

    trial_id: int
    hardware: str
    beside: int
    """jobs at a time on its machine, itself included"""
    result: Result
    clocked: bool = False
    """whether its budget was of seconds or joules, so that the machine decided how far it came"""


def taken(trial: Trial, result: Result) -> Provenance:
    """A trial's row with its result."""
    beside = int((trial.config.get("meter") or {}).get("concurrent") or 1)
    budget = trial.config.get("budget") or {}
    clocked = any(budget.get(name) is not None for name in ("seconds", "joules"))
    return Provenance(trial.id, trial.key.hardware, beside, result, clocked)


def comparable(metric: str, trials: Sequence[Trial], results: Mapping[int, Result]) -> str | None:
    """Return why the trials' figures of `metric` must not be compared, None when they may.

    Sizes and FLOPs always may. Scores may where each seed was tested on one split, unless
    `trainer.precision=auto`, which times a few steps, chose otherwise for some than for others: these are no
    trials of one arm. Under a budget of seconds or joules scores need one hardware class, as many threads and
    as many neighbours too. What a clock takes needs a window that nobody disturbed, one hardware class, one
    instrument and as many threads, wall time as many neighbours too; joules and CO2 need one energy method
    and one basis as well, and a figure without a method is compared with none.
    """
    figures = [taken(trial, results[trial.id]) for trial in trials if trial.id in results]
    return draws.unlike(metric, trials) or unlike(metric, figures)


def unlike(metric: str, figures: Sequence[Provenance]) -> str | None:
    """As `comparable`, of trials whose rows need not be at hand."""
    if is_of_network(metric):
        return None
    reasons: Sequence[Callable[[str, Sequence[Provenance]], str | None]] = _OF_CLOCKS
    if not is_timed(metric):
        reasons = _OF_CLOCKED_SCORES if any(figure.clocked for figure in figures) else _OF_SCORES
    return next(filter(None, (reason(metric, figures) for reason in reasons)), None)


def disturbed(metric: str, result: Result) -> str | None:
    """Why a trial's figure may not be used: its window was disturbed. None where it may.

    A figure of the whole trial is disturbed by any of its windows.
    """
    held = result.facts.get("disturbed") or {}
    if not held or not is_timed(metric):
        return None
    own = window(metric)
    return next((f"{name} window: {held[name]}" for name in held if own in (None, name)), None)


def sound(result: Result) -> dict[str, float]:
    """The figures that may be used: those of disturbed windows are left out."""
    if not result.facts.get("disturbed"):
        return result.metrics
    return {key: value for key, value in result.metrics.items() if disturbed(key, result) is None}


def instrument(result: Result) -> str:
    """Method and basis of a trial's joules in one text: what two rows must share to stand side by side."""
    basis = result.facts.get("energy_basis") or ("" if is_new(result) else OLD)
    return f"{energy_method(result)}: {basis}"


def how_taken(result: Result | None) -> dict[str, Any]:
    """How a trial's clocks were taken, as plain values for lists of trials; None where nothing tells it."""
    facts = result.facts if result else {}
    basis = facts.get("energy_basis")
    if basis is None and facts.get("energy_method") and result is not None and not is_new(result):
        basis = OLD
    held = "; ".join(f"{name}: {why}" for name, why in (facts.get("disturbed") or {}).items())
    return {"energy_method": facts.get("energy_method"), "energy_basis": basis, "disturbed": held or None}


def unpaired(metric: str, pairs: Sequence[tuple[Trial, Trial]]) -> str | None:
    """Why the clocks of pairs of trials tell different hours of the machine, None when they do not.

    A pair meets the same machine when one sweep or campaign ran both, or when they were begun close together.
    """
    if not is_timed(metric):
        return None
    gaps = [abs(a.started - b.started) for a, b in pairs if a.sweep is None or a.sweep != b.sweep]
    if max(gaps, default=0.0) <= SIDE_BY_SIDE_S:
        return None
    return (
        f"{metric}: the two trials of a pair were begun up to {max(gaps) / 60:.0f} minutes apart and by no "
        "common sweep, and clocks drift with the machine: run both in one sweep with force=true."
    )


def energy_method(result: Result) -> str | None:
    """How a trial's joules were taken, for example `estimated` or `nvml+estimated`; None when not at all."""
    method = result.facts.get("energy_method")
    return str(method) if method else None


def _differing(values: Iterable[object], complaint: str, between: str = ", ") -> str | None:
    """The complaint with the values in it, where they are not all the same."""
    told = sorted({str(value) for value in values})
    return complaint.format(told=between.join(told)) if len(told) > 1 else None


def _hardware(metric: str, figures: Sequence[Provenance]) -> str | None:
    complaint = f"{metric} was taken on different hardware ({{told}}): run all arms on one kind."
    return _differing((figure.hardware for figure in figures), complaint)


def _disturbed(metric: str, figures: Sequence[Provenance]) -> str | None:
    held = [(figure.trial_id, why) for figure in figures if (why := disturbed(metric, figure.result))]
    if not held:
        return None
    return (
        f"{metric} was disturbed in {len(held)} of {len(figures)} trials (trial {held[0][0]}, {held[0][1]}): "
        "run them again with force=true when the machine is quieter."
    )


def _instrument(metric: str, figures: Sequence[Provenance]) -> str | None:
    new = sorted(figure.trial_id for figure in figures if is_new(figure.result))
    old = sorted({figure.trial_id for figure in figures} - set(new))
    if not old or not new:
        return None
    return (
        f"{metric} of trial {old[0]} was taken by the old instrument, which counted all wall time, "
        f"that of trial {new[0]} by the new one: run the older again."
    )


def _threads(metric: str, figures: Sequence[Provenance]) -> str | None:
    used = (figure.result.facts["threads"] for figure in figures if "threads" in figure.result.facts)
    complaint = f"{metric} was taken with {{told}} threads: run all arms with the same launcher.threads."
    return _differing(used, complaint)


def _neighbours(metric: str, figures: Sequence[Provenance]) -> str | None:
    """CPU time of the new instrument is the process's own, whoever of ours works beside it.

    Carbon is not: jobs side by side share the standing draw that is in it.
    """
    if is_cpu_time(metric) and not is_carbon(metric) and all(is_new(figure.result) for figure in figures):
        return None
    complaint = f"{metric} was taken with and without neighbours: run all arms with launcher.jobs=1."
    return _differing((figure.beside for figure in figures), complaint)


def _method(metric: str, figures: Sequence[Provenance]) -> str | None:
    methods = [energy_method(figure.result) for figure in figures] if is_energy(metric) else []
    if None in methods:
        return f"{metric} of a trial has no energy method: measure it again."
    complaint = f"{metric} was taken by different methods ({{told}}): run all arms with the same meter."
    return _differing(methods, complaint)


def _basis(metric: str, figures: Sequence[Provenance]) -> str | None:
    bases = (figure.result.facts.get("energy_basis") for figure in figures) if is_energy(metric) else ()
    complaint = (
        f"{metric} rests on different bases ({{told}}): compare train/cpu_seconds, or run all arms "
        "with one calibration."
    )
    return _differing(bases, complaint, "; ")


def _grid(metric: str, figures: Sequence[Provenance]) -> str | None:
    energies = (figure.result.facts.get("energy") or {} for figure in figures) if is_carbon(metric) else ()
    complaint = f"{metric} was taken with different grids ({{told}} g/kWh): ask for one meter.country."
    return _differing((energy.get("grid_g_per_kwh") for energy in energies), complaint)


def _precision(metric: str, figures: Sequence[Provenance]) -> str | None:
    facts = [figure.result.facts for figure in figures]
    timed = [own for own in facts if own.get("precision_step_seconds") is not None]
    chosen = sorted({str(own.get("precision")) for own in timed})
    if len(chosen) < 2:
        return None
    return (
        f"{metric}: trainer.precision=auto chose {' for some and '.join(chosen)} for others of these trials: "
        f"name one, for example trainer.precision={chosen[0]}."
    )


def is_new(result: Result) -> bool:
    """Whether the instrument that counts CPU seconds, in windows of the steps alone, took its figures."""
    return "energy_basis" in result.facts or "train/cpu_seconds" in result.metrics


_OF_SCORES = (_precision,)
_OF_CLOCKED_SCORES = (_precision, _hardware, _threads, _neighbours)
_OF_CLOCKS = (_hardware, _disturbed, _instrument, _threads, _neighbours, _method, _basis, _grid, _precision)
