"""Which figures may stand side by side: seconds of one kind of machine, joules of one method as well."""

from collections.abc import Mapping, Sequence

from research.objective import is_energy, is_timed
from research.types import Result, Trial


def comparable(metric: str, trials: Sequence[Trial], results: Mapping[int, Result]) -> str | None:
    """Return why the trials' figures of `metric` must not be compared, None when they may.

    Scores, sizes and FLOPs always may. What a clock takes needs one hardware class; joules and CO2 need one
    energy method as well, and a figure without a method is compared with none.
    """
    if not is_timed(metric):
        return None
    places = sorted({trial.key.hardware for trial in trials})
    if len(places) > 1:
        return f"{metric} was taken on different hardware ({', '.join(places)}): run all arms on one kind."
    if not is_energy(metric):
        return None
    methods = {energy_method(results[trial.id]) for trial in trials if trial.id in results}
    if None in methods:
        return f"{metric} of a trial has no energy method: measure it again."
    if len(methods) > 1:
        told = ", ".join(sorted(str(method) for method in methods))
        return f"{metric} was taken by different methods ({told}): run all arms with the same meter."
    return None


def energy_method(result: Result) -> str | None:
    """How a trial's joules were taken, for example `estimated` or `nvml+estimated`; None when not at all."""
    method = result.facts.get("energy_method")
    return str(method) if method else None
