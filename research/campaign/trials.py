"""The trials of a campaign: how they are typed, who may run them, and which of them a neighbour disturbed.

One process at a time runs a campaign or a recipe of a database; others, on whatever host, help it.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from refusal import Refusal
from research.metrics import is_carbon, is_energy, is_timed
from research.run import engines, machine
from research.run.drain import serve
from research.run.runner import Job, Outcome, Runner
from research.space.gate import Space
from research.stats.comparable import disturbed
from research.stats.draws import own_split
from research.store import leases
from research.store.leases import Lease
from research.store.owners import host, may_be_here
from research.types import Result

if TYPE_CHECKING:
    from research.campaign.campaign import Campaign

Run = Callable[[Sequence[Job]], Iterator[Outcome]]
POLL_S = 2.0


@final
class Typed:
    """Overrides and configs of trials; what is resolved once for all seeds of an arm is kept."""

    def __init__(
        self,
        space: Space,
        fixed: Sequence[str],
        quiet: Sequence[str],
        harness: Mapping[str, Any],
        fresh: float,
    ) -> None:
        """Seeds from `fresh` on draw their own split, where the data can; those below tune, and share one."""
        self._space, self._fresh, self._harness = space, fresh, harness
        self._fixed, self._quiet = tuple(fixed), tuple(quiet)
        self._splits: dict[tuple[str, ...], tuple[str, ...]] = {}

    def line(self, overrides: Sequence[str], seed: int) -> list[str]:
        """Every override of a trial but those that change no result."""
        split = self.split(overrides) if seed >= self._fresh else ()
        return [*self._fixed, *overrides, *split, f"seed={seed}"]

    def config(self, overrides: Sequence[str], seed: int) -> dict[str, Any]:
        """The resolved config of a trial. Raises `Refusal` for an unknown key or option."""
        return self._space.resolve([*self._quiet, *self.line(overrides, seed)]) | dict(self._harness)

    def split(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The override by which each fresh seed of an arm draws its own split; none where data is fixed."""
        if math.isinf(self._fresh):
            return ()
        given = (*self._fixed, *overrides)
        if given not in self._splits:
            self._splits[given] = own_split(self._space.resolve(given), given)
        return self._splits[given]


def unshared(watched: Iterable[str], *, alone: bool = False) -> str | None:
    """Why nobody else may run any trial of who watches these metrics; None where some may be shared.

    `alone`: its trials run one at a time, because they are timed.
    """
    one = next((metric for metric in watched if is_energy(metric) or is_carbon(metric)), None)
    if one is not None:
        return f"another machine may take {one} by another counter, so all trials are run here"
    return "its trials are timed beside each other, so all of them are run here" if alone else None


@final
class Sharing:
    """Which trials other processes may run too, on machines of the same kind, and how they are to do it.

    Clocks that are held against each other are of one machine: those of a claim and of a race, which run
    alone, and what all others are held to, the controls. So is a training that the clock ends. Joules are of
    one machine throughout: another of the same kind may have other counters, or be calibrated otherwise.
    """

    def __init__(self, launcher: Mapping[str, Any] | None, watched: Iterable[str] = ()) -> None:
        """`launcher` is how the campaign runs them; None shares none."""
        metrics = tuple(watched)
        self._launcher, self._timed = launcher, any(map(is_timed, metrics))
        self._launcher = None if unshared(metrics) else self._launcher
        self._told: dict[str, Any] = {}

    def of(self, job: Job, *, alone: bool, held: bool) -> Job:
        """The job as it is asked for; `held` is one of a control."""
        budget = job.config.get("budget") or {}
        clocked = any(budget.get(name) is not None for name in ("seconds", "joules"))
        if self._launcher is None or alone or clocked or (held and self._timed):
            return replace(job, apart=True)
        if not self._told:
            width = len(machine.places([job.config], self._launcher["jobs"]))
            threads = self._launcher["threads"] or machine.threads(width)
            self._told = {**self._launcher, "threads": threads}
        return replace(job, config=job.config | {"launcher": self._told})


@contextmanager
def running(
    campaign: "Campaign",
    name: str,
    *,
    own: Mapping[str, Any] | None = None,
    lease: str | None = None,
    logs: Path | None = None,
) -> Iterator[Run]:
    """Processes that run trials as the campaign says, but for their `own` settings; their logs under `name`.

    With a `lease`, that of what asks for them, workers of its engine run trials of the sweep `name` too.
    """
    if campaign.given_run is not None:
        yield campaign.given_run
        return
    logs = logs or campaign.root / "agent" / name / "logs"
    with (
        Runner(**{**campaign.launcher, **(own or {})}, logs=logs) as runner,
        engines.beside(runner, campaign.config, lease, name) as run,
    ):
        yield run


def shares(campaign: "Campaign", why_not: str | None) -> bool:
    """Whether others may run trials of it; where it was asked for workers that may not, that is said."""
    if why_not is not None and engines.of(campaign.config) is not None:
        campaign.lines.say(f"workers    none: {why_not}", style="yellow")
    return campaign.given_run is None and why_not is None


@contextmanager
def alone(
    campaign: "Campaign", name: str, folder: Path, launcher: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Hold the lease `name` and a folder while the body runs, after whoever holds it has ended.

    Meanwhile trials of it that wait are run here as well, as `launcher` says. What the body writes is refused
    from the moment on that another process has taken the campaign over.
    """
    store = campaign.store
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{folder} cannot be written ({error.strerror})"
        raise Refusal(f"{why}: choose another root=FOLDER.") from error
    mine = _taken(campaign, name, folder.name, launcher)
    with leases.held(store, mine):
        store.guard = lambda connection: leases.owned(connection, mine)
        try:
            yield
        finally:
            store.guard = None


def _taken(campaign: "Campaign", name: str, sweep: str, launcher: Mapping[str, Any] | None) -> Lease:
    got = _asked(campaign, name)
    if isinstance(got, Lease):
        return got
    # Who holds it has the cores of its own machine, unless somebody has shared them out.
    helps = launcher is not None and (launcher["jobs"] is not None or not may_be_here(got))
    what = "trials of it that wait are run here too" if helps else "waiting for its end"
    campaign.lines.say(f"{name} runs already, on {host(got)}: {what}; Ctrl-C leaves it alone", style="yellow")

    def ended() -> Lease | None:
        now = _asked(campaign, name)
        return now if isinstance(now, Lease) else None

    return meanwhile(campaign, ended, launcher if helps else None, sweep)


def meanwhile(
    campaign: "Campaign",
    ask: Callable[[], Lease | None],
    launcher: Mapping[str, Any] | None,
    sweep: str | None = None,
) -> Lease:
    """The lease that `ask` gives in the end; until then trials that wait are run here as `launcher` says.

    Those of one `sweep`, or of all; without a launcher none.
    """
    mine: list[Lease] = []

    def waits() -> bool:
        mine.extend(filter(None, [ask()]))
        return not mine

    if launcher is not None and waits():
        url = str(campaign.config["store"]["url"])
        with Runner(**{**launcher, "threads": None}) as runner:  # a row says how many it has
            serve(runner, url, ("cpu", "gpu"), sweep=sweep, stays=waits, say=campaign.lines.say)
    while not mine and waits():
        time.sleep(POLL_S)
    return mine[0]


def _asked(campaign: "Campaign", name: str) -> Lease | str:
    with campaign.store.write() as connection:
        return leases.take(connection, name)


REPEATS = 2
"""how often a disturbed trial is run again, alone and as a replicate of its key"""
_PATIENCE = 4
"""repeats in a row that were disturbed as well, after which none is tried any more: the neighbour stays"""


@final
class Quiet:
    """Counts the trials whose watched windows somebody disturbed."""

    def __init__(self, watched: Iterable[str] = ()) -> None:
        """`watched` are the metrics that decide; those that no clock takes are never disturbed."""
        self.watched = tuple(dict.fromkeys(one for one in watched if is_timed(one)))
        self._looked = self._in_vain = 0
        self._reasons: list[str] = []

    @property
    def patient(self) -> bool:
        """Whether another repeat is worth its joules."""
        return bool(self.watched) and self._in_vain < _PATIENCE

    def reason(self, result: Result | None) -> str | None:
        """Why a trial's watched figures are used nowhere; None where they may be."""
        if result is None:
            return None
        return next(filter(None, (disturbed(metric, result) for metric in self.watched)), None)

    def look(self, result: Result | None, *, again: bool = False) -> bool:
        """Count a trial that was run, `again` a repeat; whether its watched windows were undisturbed."""
        why = self.reason(result)
        self._looked += 1
        self._reasons += [why] if why else []
        if again:
            self._in_vain = self._in_vain + 1 if why else 0
        return why is None

    def sentence(self, why: str) -> str:
        """That the machine is too busy for an answer, with the figures that show it."""
        counted = f"{len(self._reasons)} of {self._looked} trials were disturbed" if self._looked else ""
        return (
            f"the machine is too busy to settle {' and '.join(self.watched)}: "
            f"{f'{counted}, repeats included, ' if counted else 'what is known was disturbed '}for example "
            f"in the {why}; the same command goes on when the machine is quieter"
        )
