"""Seconds, joules and carbon of one training, also when it was interrupted and resumed."""

import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, final

from models.energy import Energy, Meter, Window
from models.processes import Group
from refusal import Refusal

Figure = float | None


class Now(NamedTuple):
    """How far a training is, in time and energy; None for joules where the meter has none."""

    second: float
    joule: Figure


@final
@dataclass(frozen=True)
class _Used:
    """What earlier sessions of this training used up to the checkpoint that they left."""

    seconds: float = 0.0
    joules: Figure = 0.0
    co2_kg: Figure = 0.0
    sessions: int = 0


@final
class Clock:
    """Counts from `start` to `finish`, on top of what earlier sessions used.

    What a killed session used after its last checkpoint is lost, so not counted. Where several processes
    train together each has a clock, and all of them must read at the same steps.
    """

    def __init__(self, meter: Meter, group: Group) -> None:
        self._meter, self._total, self._own = meter, group.total, group.own
        self._before = _Used()
        self._started: float | None = None
        self._from: Figure = None
        self._window: AbstractContextManager[Window] | None = None
        self._opened: Window | None = None

    @property
    def sessions(self) -> int:
        """How many times this training was started."""
        return self._before.sessions + (self._window is not None)

    def start(self, *, needs_joules: bool) -> None:
        """Begin; `Refusal` when joules are limited and the meter has none to offer."""
        self._window = self._meter.window()
        self._opened = self._window.__enter__()
        self._from = self._own(self._meter.read())
        self._started = time.perf_counter()
        if needs_joules and self.read().joule is None:
            raise Refusal("budget.joules needs a meter that counts joules here: set budget.seconds instead.")

    def second(self) -> float:
        """Seconds used, without a look at the meter."""
        return self._before.seconds + (0.0 if self._started is None else time.perf_counter() - self._started)

    def read(self) -> Now:
        """Seconds and joules used."""
        used = self._used()
        return Now(used.seconds, used.joules)

    def finish(self) -> None:
        """Stop; a second call does nothing."""
        if self._window is None or self._opened is None:
            return
        sessions, seconds, window = self.sessions, self.second(), self._window
        self._window = self._started = None
        window.__exit__(None, None, None)
        self._before = self._with(self._own(self._opened.energy), seconds, sessions)

    def energy(self) -> Energy:
        """Energy of all sessions, after `finish`, by the method and on the hardware of this one."""
        used, here = self._before, self._opened
        if here is None:
            # A training that had ended is only loaded: an empty window says what the meter is.
            with self._meter.window() as here:
                pass
        earlier = used.sessions - (self._opened is not None)
        notes = [here.energy.note] if here.energy.note and self._opened is not None else []
        notes += [f"{earlier} earlier session(s) are included"] if earlier else []
        totals = {"seconds": used.seconds, "joules": used.joules, "co2_kg": used.co2_kg}
        sound = here.energy.valid if self._opened is not None else used.joules is not None
        return replace(here.energy, **totals, valid=sound, note="; ".join(notes) or None)

    def state_dict(self) -> dict[str, Any]:
        """What is used up so far, in plain numbers."""
        return asdict(self._used())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from `state`."""
        self._before = _Used(**state)

    def metrics(self) -> dict[str, float]:
        """Seconds, joules and carbon under `train/`; what the meter does not vouch for is left out."""
        used, sound = self._used(), self._opened is None or self._opened.energy.valid
        found = {"seconds": used.seconds, "energy_j": used.joules, "co2_kg": used.co2_kg}
        found = {name: value if sound or name == "seconds" else None for name, value in found.items()}
        return {f"train/{name}": value for name, value in found.items() if value is not None}

    def _used(self) -> _Used:
        if self._started is None:
            return self._before
        here = _minus(self._own(self._meter.read()), self._from)
        return self._with(here, self.second(), self.sessions)

    def _with(self, here: Figure, seconds: float, sessions: int) -> _Used:
        joules = self._total(here)
        co2_kg = None if joules is None else self._meter.grid.co2_kg(joules)
        return _Used(
            seconds, _plus(self._before.joules, joules), _plus(self._before.co2_kg, co2_kg), sessions
        )


def _plus(one: Figure, other: Figure) -> Figure:
    return None if one is None or other is None else one + other


def _minus(one: Figure, other: Figure) -> Figure:
    return None if one is None or other is None else one - other
