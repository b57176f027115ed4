"""`task=calibrate`: what this machine's cores draw, by its counter or by a wall meter that a person reads.

By itself where there is a RAPL counter; else `load=1` keeps a core busy while a person reads a wall meter,
and `readings=[idle:21.5,1:28.0]` tells what was read. The meter counts with the profile from then on.
"""

import datetime
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from power import energy_profile, powercap
from power.energy_profile import Profile
from refusal import Refusal
from research.campaign.campaign import Campaign
from research.run import machine
from research.stats.calibration import CorePower, Sample, fitted
from research.tasks.answer import Answer, pairs
from research.tasks.doctor import elsewhere

POWERCAP, PROC = powercap.POWERCAP, Path("/proc")
_ROUNDS = 3
_WHOLE_S = 60.0
_HELD_S = 60.0
_LONGEST_S = 3600.0
_SETTLED = 0.2
"""share of a step that passes before it counts: fans, clocks and voltages follow the load"""
_READ_S = 60.0
"""a counter starts again at 0 after a quarter of an hour at 300 W: it is read more often"""
_SHARP_S, _TRIES = 0.05, 5
"""how long one look at all counters may take, and how often it is tried"""
_AT_REST = 0.25
"""cores that others may keep busy while the machine should be idle"""
_READING = re.compile(r"\s*(idle|\d+)\s*:\s*(\d+(?:\.\d+)?)\s*W?\s*", re.IGNORECASE)
_ASSUMED = """
import json
from models.energy.sources import open_counters
found, missing = open_counters("cpu")
print(json.dumps({"basis": " + ".join(one.basis for one in found)}))
"""


@final
class Calibrated(Answer):
    """The profile that was written, with what it rests on; without one, what is assumed instead."""

    profile: dict[str, Any] | None
    path: Path | None
    why: str | None = None
    """what the error is made of"""
    samples: tuple[dict[str, float], ...] = ()
    """watts at each load, as they were taken"""
    assumed: str | None = None
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The figures, and what follows."""
        if self.profile is None:
            return "\n".join(filter(None, [self.assumed, *self.notes]))
        told = self.profile
        watts = {
            "machine": told["hardware"],
            "at rest": f"{told['idle_w']:.3g} W",
            **{f"{cores} busy": f"{watts:.3g} W" for cores, watts in told["busy_w"].items()},
            "a core": f"{told['core_w']:.3g} W, give or take {told['error']:.0%} ({self.why})",
            "by": told["source"],
            "kept in": str(self.path),
        }
        said = "Joules are counted with it from now on; known estimates are told by it too."
        return "\n".join([*pairs(watts), *self.notes, said])


def calibrate(campaign: Campaign, readings: list[str], load: int | None, seconds: float | None) -> Calibrated:
    """Measure, hold a load, or take readings in; the profile is written in the first and the last case."""
    if readings and load is not None:
        raise Refusal(
            "task=calibrate takes load=1 to keep a core busy, or readings=[idle:21.5,1:28.0]: not both."
        )
    if readings and seconds is not None:
        raise Refusal("seconds is how long to measure, and readings are measured already: leave one out.")
    if seconds is not None and not 0 < seconds <= _LONGEST_S:
        raise Refusal(f"seconds={seconds:g}: give seconds above 0 and up to {_LONGEST_S:g}.")
    if readings:
        samples, resolution = _typed([str(reading) for reading in readings])
        once = "Each load was read once, so the spread is not known: type several readings of each for it."
        several = max(sample.round for sample in samples) > 0
        return _kept(fitted(samples, resolution), samples, "wall meter", () if several else (once,))
    if load is not None:
        return _held(campaign, load, seconds or _HELD_S)
    try:
        counters = [domain for kind in ("package", "dram") for domain in powercap.domains(POWERCAP, kind)]
    except OSError as error:
        return _nothing(
            f"The counter cannot be read ({error.strerror}: {error.filename}); as root it can be."
        )
    if not counters:
        return _nothing(
            "This machine has no energy counter that can be read (no RAPL in /sys/class/powercap)."
        )
    campaign.lines.say(f"measuring for {seconds or _WHOLE_S:g} s: let nothing else work on this machine")
    samples = list(_measured(counters, seconds or _WHOLE_S))
    return _kept(fitted(samples), samples, "rapl", ())


def _measured(counters: list[powercap.RaplDomain], whole_s: float) -> Iterator[Sample]:
    """Watts at each load, round by round, up and down in turn: what drifts meets all loads alike."""
    whole = machine.cores()
    levels = sorted({0, whole, *(2**power for power in range(10) if 2**power < whole)})
    each = whole_s / (_ROUNDS * len(levels))
    for number in range(_ROUNDS):
        for cores in levels if number % 2 == 0 else levels[::-1]:
            with machine.busy(cores, 10 * each + 60):
                yield _sample(counters, cores, each, number)


def _sample(counters: list[powercap.RaplDomain], cores: int, seconds: float, number: int) -> Sample:
    time.sleep(_SETTLED * seconds)
    begun, joules, worked = _edge(counters)
    while (left := begun + (1 - _SETTLED) * seconds - time.perf_counter()) > 0:
        time.sleep(min(left, _READ_S))
        _edge(counters)
    ended, more, done = _edge(counters)
    took = ended - begun
    watts, busy = (more - joules) / took, (done - worked) / took
    if abs(busy - cores) > _AT_REST + 0.05 * cores:
        raise Refusal(
            f"The machine is not at rest: {busy:.2f} cores were busy where {cores} should be. End what else "
            "works on it, and type it again."
        )
    return Sample(cores, watts, busy, number)


def _edge(counters: list[powercap.RaplDomain]) -> tuple[float, float, float]:
    """Time, joules and CPU seconds of the machine at one moment: again where something came in between."""
    for _ in range(_TRIES):
        before = time.perf_counter()
        joules, worked = sum(domain.read() for domain in counters), machine.worked(PROC)
        after = time.perf_counter()
        if after - before < _SHARP_S:
            break
    return (before + after) / 2, joules, worked


def _typed(readings: list[str]) -> tuple[list[Sample], float]:
    """Readings as samples, the second of one load a second round; and the meter's resolution in watts."""
    samples: list[Sample] = []
    places = 0
    for text in readings:
        read = _READING.fullmatch(text)
        if read is None:
            raise Refusal(
                f"{text!a} is no reading: write readings=[idle:21.5,1:28.0,2:33.1], busy cores and watts."
            )
        cores = 0 if read[1].lower() == "idle" else int(read[1])
        if cores > machine.cores():
            raise Refusal(f"{text!a}: this machine has {machine.cores()} cores.")
        before = sum(sample.cores == cores for sample in samples)
        samples.append(Sample(cores, float(read[2]), float(cores), before))
        places = max(places, len(read[2].partition(".")[2]))
    return samples, 10.0**-places


def _held(campaign: Campaign, asked: int, seconds: float) -> Calibrated:
    if not 0 <= asked <= machine.cores():
        raise Refusal(f"load={asked}: give a number of cores to keep busy, from 0 to {machine.cores()}.")
    named = str(asked) if asked else "idle"
    campaign.lines.say(f"{asked} cores are busy for {seconds:g} s from now on: read the wall meter meanwhile")
    with machine.busy(asked, seconds + 60):
        time.sleep(seconds)
    said = (
        f"{asked} cores were busy for {seconds:g} s. With what was read at rest (load=0) and at a load: "
        f"python agent.py task=calibrate readings=[{'' if not asked else 'idle:WATTS,'}{named}:WATTS,...]"
    )
    return Calibrated(profile=None, path=None, assumed=said)


def _kept(power: CorePower, samples: list[Sample], source: str, notes: tuple[str, ...]) -> Calibrated:
    profile = Profile(
        hardware=energy_profile.this_machine(),
        idle_w=round(power.idle_w, 3),
        busy_w=power.busy_w,
        core_w=round(power.core_w, 3),
        error=round(power.error, 4),
        source=source,
        taken=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    path = energy_profile.write(profile)
    told = tuple({"cores": float(cores), "watts": watts, "busy": busy} for cores, watts, busy, _ in samples)
    return Calibrated(profile=vars(profile), path=path, why=power.why, samples=told, notes=notes)


def _nothing(why: str) -> Calibrated:
    """No profile: what the meter does without one, and how to come by one."""
    known = energy_profile.read()
    # The meter is the other wing's: it is asked in a process of its own.
    basis = elsewhere(_ASSUMED, _HELD_S).get("basis")
    return Calibrated(
        profile=None,
        path=None,
        assumed=f"{why} Nothing was written.",
        notes=(
            *(
                (f"A profile of {known.taken} by {known.source} is in {energy_profile.place()}.",)
                if known
                else ()
            ),
            f"Joules are counted as {basis or 'an unknown estimate (models/ could not be asked)'}.",
            "Rated power is that of all cores at work: joules by it may be wrong by a factor of two, all "
            "trainings of this machine alike, so ratios hold and watts do not.",
            "With a wall meter: python agent.py task=calibrate load=0, then load=1, then what was read as "
            "readings=[idle:WATTS,1:WATTS].",
        ),
    )
