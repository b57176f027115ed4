"""Seconds, CPU seconds, joules and carbon of one training, also when it was interrupted and resumed."""

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple, final

from models.energy.disturbance import disturbed
from models.energy.figures import Energy, Tally, Window
from models.energy.meter import Meter
from models.training.devices import Group
from refusal import Refusal

Figure = float | None


class Now(NamedTuple):
    """How far a training is, by its steps alone; None where the meter has no figure, or was not asked."""

    second: float
    joule: Figure = None
    cpu_second: Figure = None
    wall: float = 0.0
    """seconds with everything between the steps"""


@final
@dataclass(frozen=True)
class _Used:
    """What all sessions of this training used so far, its steps and the harness around them."""

    seconds: float = 0.0
    cpu_seconds: Figure = 0.0
    joules: Figure = 0.0
    standing_j: Figure = 0.0
    codecarbon_j: Figure = 0.0
    harness_seconds: Figure = 0.0
    harness_cpu_seconds: Figure = 0.0
    harness_joules: Figure = 0.0
    sessions: int = 0
    disturbed: dict[str, str] = field(default_factory=dict)
    """window -> why, of the sessions that were"""

    def __add__(self, other: "_Used") -> "_Used":
        sums: dict[str, Any] = {name: _plus(getattr(self, name), getattr(other, name)) for name in _FIGURES}
        return _Used(**sums, disturbed=self.disturbed | other.disturbed)


_FIGURES = [figure.name for figure in fields(_Used) if figure.name != "disturbed"]


@final
class Clock:
    """Counts from `start` to `finish`, on top of what earlier sessions used.

    What counts is between `resume` and `pause`: the steps. The rest is the harness's and has figures of its
    own. What a killed session used after its last checkpoint is lost, so not counted. Where several
    processes train together each has a clock, and all of them must read at the same steps; the standing draw
    is the machine's, so that of rank 0 counts.
    """

    def __init__(self, meter: Meter, group: Group) -> None:
        self._meter, self._group = meter, group
        self._before = _Used()
        self._from: tuple[Tally, Tally] | None = None
        self._window: AbstractContextManager[Window] | None = None
        self._opened: Window | None = None
        self._outdated = False

    @property
    def sessions(self) -> int:
        """How many times this training was started."""
        return self._before.sessions + (self._window is not None)

    @property
    def running(self) -> bool:
        """Whether it counts now."""
        return self._window is not None

    def start(self, *, needs_joules: bool) -> None:
        """Begin, with the harness; `Refusal` when joules are limited and the meter has none to offer."""
        self._window = self._meter.window()
        self._opened = self._window.__enter__()
        self._from = self._meter.tallies()
        self.pause()
        if needs_joules and self.read().joule is None:
            raise Refusal("budget.joules needs a meter that counts joules here: set budget.seconds instead.")

    def pause(self) -> None:
        """The steps are over for now: what follows is the harness's."""
        self._meter.pause()

    def resume(self) -> None:
        """Steps follow."""
        self._meter.resume()

    def aside(self) -> AbstractContextManager[None]:
        """What runs inside is the harness's, and whether others disturb it is told apart from the steps."""
        return self._meter.aside()

    def second(self) -> float:
        """Seconds of the steps, without a look at the meter's counters."""
        return self._before.seconds + (self._meter.seconds() - self._from[0].seconds if self._from else 0.0)

    def wall(self) -> float:
        """Seconds of the steps and all between them."""
        here = 0.0
        if self._from:
            here = self._meter.seconds(aside=True) - self._from[1].seconds
        return self.second() + (self._before.harness_seconds or 0.0) + here

    def read(self) -> Now:
        """Seconds, joules and CPU seconds of the steps."""
        used = self._used()
        return Now(used.seconds, used.joules, used.cpu_seconds, used.seconds + (used.harness_seconds or 0.0))

    def finish(self) -> None:
        """Stop; a second call does nothing."""
        if self._window is None or self._opened is None:
            return
        window, self._window = self._window, None
        window.__exit__(None, None, None)
        self._meter.resume()
        self._before, self._from = (
            self._before + self._session(self._opened.tally, self._opened.aside_tally),
            None,
        )

    def energy(self) -> Energy:
        """The figures of all sessions, after `finish`, by the method and on the hardware of this one."""
        used, here = self._before, self._opened
        if here is None:
            # A training that had ended is only loaded: an empty window says what the meter is.
            with self._meter.window() as here:
                pass
        earlier = used.sessions - (self._opened is not None)
        notes = [here.energy.note] if here.energy.note and self._opened is not None else []
        notes += [f"{earlier} earlier session(s) are included"] if earlier else []
        notes += [
            "one was counted by an older meter, so CPU seconds and joules are left out"
        ] * self._outdated
        sound = here.energy.valid if self._opened is not None else used.joules is not None
        return replace(
            here.energy,
            seconds=used.seconds,
            cpu_seconds=used.cpu_seconds,
            joules=used.joules,
            standing_j=used.standing_j,
            codecarbon_j=used.codecarbon_j,
            co2_kg=self._co2(used),
            valid=sound,
            note="; ".join(notes) or None,
            disturbed=used.disturbed.get("train"),
        )

    def disturbed(self) -> dict[str, str]:
        """Which windows of this training others disturbed so far, and why; 20 us a thread while it runs."""
        return dict(self._used(exact=True).disturbed)

    def state_dict(self) -> dict[str, Any]:
        """What is used up so far, in plain values."""
        return asdict(self._used())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from `state`; one of before CPU seconds were counted has seconds only.

        Its joules were mostly wall time (an estimate that charged for memory), so they add up to nothing
        with new ones.
        """
        self._outdated = "cpu_seconds" not in state
        if self._outdated:
            unknown = {name: None for name in _FIGURES if name not in state}
            state = unknown | {name: state[name] for name in ("seconds", "sessions")} | {"joules": None}
        self._before = _Used(**state)

    def metrics(self) -> dict[str, float]:
        """The `train/` and `harness/` figures; joules that the meter does not vouch for are left out."""
        used = self._used()
        sound = self._window is not None or self._opened is None or self._opened.energy.valid
        found = {
            "train/seconds": used.seconds,
            "train/cpu_seconds": used.cpu_seconds,
            "train/energy_j": used.joules if sound else None,
            "train/energy_standing_j": used.standing_j,
            "train/co2_kg": self._co2(used) if sound else None,
            "harness/seconds": used.harness_seconds,
            "harness/cpu_seconds": used.harness_cpu_seconds,
            "harness/energy_j": used.harness_joules,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _used(self, exact: bool = False) -> _Used:
        if self._from is None:
            return self._before
        now = self._meter.tallies(exact)
        return self._before + self._session(now[0] - self._from[0], now[1] - self._from[1])

    def _session(self, steps: Tally, around: Tally) -> _Used:
        """The sum over all processes that train together."""
        total, meter = self._group.total, self._meter
        own, beside = meter.figures(steps), meter.figures(around)
        why = {"train": disturbed(steps.watched), "harness": disturbed(around.watched)}
        return _Used(
            seconds=steps.seconds,
            cpu_seconds=total(own.cpu_seconds),
            joules=total(own.joules),
            standing_j=own.standing_j,
            codecarbon_j=total(own.codecarbon_j),
            harness_seconds=around.seconds,
            harness_cpu_seconds=total(beside.cpu_seconds),
            harness_joules=total(beside.joules),
            sessions=1,
            disturbed={window: reason for window, reason in why.items() if reason},
        )

    def _co2(self, used: _Used) -> Figure:
        joules = _plus(used.joules, used.standing_j)
        return None if joules is None else self._meter.grid.co2_kg(joules)


def _plus(figure: Figure, other: Figure) -> Figure:
    return None if figure is None or other is None else figure + other
