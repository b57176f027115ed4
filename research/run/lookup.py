"""What is known of jobs before any process is started, and its joules and carbon as they are told now.

A training learns from neither the watts of an estimate nor the grid. So both may be asked anew of a known
trial without training it anew, and its row stays as it was written.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple, final

from power import energy_profile
from power.grid import Electricity, grid
from power.processor import processor
from redact import redact
from research.metrics import is_carbon, is_energy
from research.run import teachers
from research.run.job import Job, Outcome
from research.space import profiles
from research.space.signature import signature
from research.store.claims import WantedTrial, wanted
from research.store.store import Store
from research.types import Key, Result


def keys(jobs: Sequence[Job]) -> list[Key]:
    """The identity of each job.

    Raises `Refusal` for data that is not there, a GPU that is missing, and a profile that is exceeded.
    """
    for job in jobs:
        profiles.refuse(job.config)
    return [teachers.key(job.config, signature(job.config)) for job in jobs]


def wanted_of(job: Job) -> WantedTrial:
    """What the row of a job is to say."""
    values = columns(job.config, job.overrides, job.sweep, job.source)
    (key,) = keys([job])
    return wanted(key, force=bool(job.config.get("force")), apart=job.apart, **values)


def columns(
    config: Mapping[str, Any], overrides: Sequence[str], sweep: str | None, source: str
) -> dict[str, Any]:
    """What a trial's row says of where it comes from, secrets masked."""
    told = {"overrides": redact(list(overrides)), "config": redact(config), "seed": config.get("seed", 0)}
    return told | {"name": config.get("name"), "sweep": sweep, "source": source}


def twins(jobs: Sequence[Job], asked: Sequence[int]) -> list[list[int]]:
    """The indices that are asked for, those of one trial together; a `force` job is alone."""
    groups: dict[Any, list[int]] = {}
    for index, key in zip(asked, keys([jobs[index] for index in asked]), strict=True):
        config = jobs[index].config
        trial = index if config.get("force") else (key, config["store"]["url"])
        groups.setdefault(trial, []).append(index)
    return list(groups.values())


def answered(job: Job, by: Outcome | Result) -> Outcome:
    """The outcome of a job whose trial another has run."""
    score = by.metrics.get(job.config["score"])
    return Outcome(job, "known", trial_id=by.trial_id, score=score, metrics=by.metrics, facts=by.facts)


def known(jobs: Sequence[Job]) -> list[Outcome | None]:
    """For each job its outcome when a trial with its key is done, else None, as for every `force` job.

    None too where what it asks for was left unmeasured: its process adds that.
    """
    asked = [None if job.config.get("force") else key for job, key in zip(jobs, keys(jobs), strict=True)]
    found: dict[Key, Result] = {}
    for url in sorted({job.config["store"]["url"] for job in jobs}):
        with closing(Store(url, late=True)) as store:
            found |= {} if store.is_new else store.known([key for key in asked if key is not None])
    results = [None if key is None else found.get(key) for key in asked]
    return [
        None if result is None or lacking(result.facts, job.config) else outcome(job, result)
        for job, result in zip(jobs, results, strict=True)
    ]


def dead(jobs: Sequence[Job]) -> list[bool]:
    """For each job whether it failed for good, so that typing it again does not run it."""
    buried: set[tuple[str, Key]] = set()
    asked = [(job.config["store"]["url"], key) for job, key in zip(jobs, keys(jobs), strict=True)]
    for url in sorted({url for url, _ in asked}):
        with closing(Store(url, late=True)) as store:
            own = [] if store.is_new else store.dead([key for of, key in asked if of == url])
            buried |= {(url, key) for key in own}
    return [one in buried and not job.config.get("force") for job, one in zip(jobs, asked, strict=True)]


def outcome(job: Job, result: Result) -> Outcome:
    """A known trial, its joules and carbon told as this job asks for them."""
    return answered(job, retold(result, job.config.get("meter")))


def lacking(facts: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What a trial with these facts left unmeasured that `config` asks for: all but its own `unmeasured`."""
    own = config.get("unmeasured") or ()
    return [name for name in facts.get("unmeasured") or () if name not in own]


def spared(metrics: Sequence[str]) -> list[str]:
    """What a look for these metrics may leave out: latency, CPU time and energy of inference."""
    return [] if any(metric.startswith(("infer/", "compress/")) for metric in metrics) else ["infer"]


def retold(result: Result, meter: Mapping[str, Any] | None) -> Result:
    """The result by today's calibration and the grid of `meter`, with a note of what was computed anew.

    Raises `Refusal` for a country without a figure, and for an energy profile that cannot be read.
    """
    asked = _asked_grid(result.facts, meter or {})
    now = _now(result.facts)
    if asked is None and now is None:
        return result
    metrics, facts = dict(result.metrics), dict(result.facts)
    notes = list(facts.get("notes") or [])
    if now is not None and _rebase(metrics, facts, now):
        notes.append(f"joules are told by {now.basis}; they were taken by {facts['energy_basis']}")
        facts["energy_basis"] = now.basis
    own = facts.get("energy") or {}
    told = asked or Electricity(float(own.get("grid_g_per_kwh") or 0.0), str(own.get("grid_source")))
    if asked is not None:
        facts["energy"] = facts["energy"] | {"grid_g_per_kwh": told.g_per_kwh, "grid_source": told.source}
        notes.append(f"carbon is told by {told.source}, {told.g_per_kwh:.4g} g/kWh")
    _carbon(metrics, told)
    return Result(trial_id=result.trial_id, metrics=metrics, facts=facts | {"notes": notes})


def needed(keys: Iterable[str]) -> set[str]:
    """These figures with all from which `retold` computes them anew."""
    keys = set(keys)
    own = {key.removesuffix("co2_kg") for key in keys if key.endswith("co2_kg")}
    beside = {f"{window}{figure}" for window in own for figure in ("energy_j", "energy_standing_j")}
    return keys | beside | {"train/energy_j", "train/cpu_seconds"}


def grid_of(facts: Mapping[str, Any]) -> str | None:
    """The grid that a trial's carbon is told by, in words; None where no energy was measured."""
    energy = facts.get("energy") or {}
    if "grid_g_per_kwh" not in energy:
        return None
    return f"{energy['grid_g_per_kwh']:.4g} g/kWh ({energy.get('grid_source')})"


@final
class _Watts(NamedTuple):
    """What an estimate on this machine is made of now."""

    core_w: float
    standing_w: float | None
    """None without a profile: what was told stays"""
    basis: str


def _now(facts: Mapping[str, Any]) -> _Watts | None:
    """The watts to tell an estimate by; None for counted joules, another machine's, and what they told."""
    if facts.get("energy_method") != "estimated" or "energy_basis" not in facts:
        return None
    taken = (facts.get("energy") or {}).get("hardware") or {}
    if f"{taken.get('cpu')}, {taken.get('cpu_count')} cores" != energy_profile.this_machine():
        return None
    profile = energy_profile.read()
    if profile is not None and profile.hardware == energy_profile.this_machine():
        found = _Watts(profile.core_w, profile.idle_w, energy_profile.basis(profile))
    else:  # by its rated power, as the meter counts
        core_w, made_of = processor().core_watts()
        found = _Watts(core_w, None, energy_profile.rated(core_w, made_of))
    return None if found.basis == facts["energy_basis"] else found


def _rebase(metrics: dict[str, float], facts: Mapping[str, Any], now: _Watts) -> bool:
    """Compute joules anew from CPU seconds; returns whether there were any."""
    joules, worked = metrics.get("train/energy_j", 0.0), metrics.get("train/cpu_seconds", 0.0)
    if not (joules > 0 and worked > 0):
        return False
    before_w = facts["energy"]["hardware"].get("standing_w")
    standing = now.standing_w / before_w if now.standing_w is not None and before_w else 1.0
    ratio = now.core_w * worked / joules
    for key in metrics:
        if is_energy(key) and not is_carbon(key):
            metrics[key] *= standing if key.endswith("/energy_standing_j") else ratio
    return True


def _carbon(metrics: dict[str, float], told: Electricity) -> None:
    """Each window's carbon from its joules, the standing draw among them."""
    for key in [one for one in metrics if one.endswith("co2_kg")]:
        own = key.removesuffix("co2_kg")
        if f"{own}energy_j" in metrics:
            standing = metrics.get(f"{own}energy_standing_j", 0.0)
            metrics[key] = told.co2_kg(metrics[f"{own}energy_j"] + standing)


def _asked_grid(facts: Mapping[str, Any], meter: Mapping[str, Any]) -> Electricity | None:
    """The grid that is asked for, None where the trial's carbon is told by it already."""
    energy = facts.get("energy") or {}
    if "grid_g_per_kwh" not in energy:
        return None
    country, grams = meter.get("country"), meter.get("grid_g_per_kwh")
    if country is None and grams is None and str(energy.get("grid_source")).startswith("world average"):
        return None  # what is usual costs no look into CodeCarbon's tables
    found = _grid(country, grams)
    same = (found.g_per_kwh, found.source) == (energy["grid_g_per_kwh"], energy.get("grid_source"))
    return None if same else found


_grid = cache(grid)
