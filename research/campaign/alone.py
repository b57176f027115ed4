"""One process at a time runs a campaign or a recipe of a database; others, on whatever host, help it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaign.bench import Run
from research.campaign.campaign import Campaign
from research.run import engines
from research.run.drain import serve
from research.run.runner import Runner
from research.store import leases
from research.store.leases import Lease
from research.store.owners import host, may_be_here

POLL_S = 2.0


@contextmanager
def running(
    campaign: Campaign,
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


def shares(campaign: Campaign, why_not: str | None) -> bool:
    """Whether others may run trials of it; where it was asked for workers that may not, that is said."""
    if why_not is not None and engines.of(campaign.config) is not None:
        campaign.lines.say(f"workers    none: {why_not}", style="yellow")
    return campaign.given_run is None and why_not is None


@contextmanager
def alone(
    campaign: Campaign, name: str, folder: Path, launcher: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Hold the lease `name` and a folder while the body runs, after whoever holds it has ended.

    Meanwhile trials of it that wait are run here as well, as `launcher` says. What the body writes is refused
    from the moment on that another process has taken the campaign over.
    """
    store = campaign.store
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    mine = _taken(campaign, name, folder.name, launcher)
    with leases.held(store, mine):
        store.guard = lambda connection: leases.owned(connection, mine)
        try:
            yield
        finally:
            store.guard = None


def _taken(campaign: Campaign, name: str, sweep: str, launcher: Mapping[str, Any] | None) -> Lease:
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
    campaign: Campaign,
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


def _asked(campaign: Campaign, name: str) -> Lease | str:
    with campaign.store.write() as connection:
        return leases.take(connection, name)
