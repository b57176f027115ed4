"""One process at a time runs a campaign or a recipe of a database, on whatever host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.store import leases
from research.store.leases import Lease
from research.store.owners import host

POLL_S = 2.0


@contextmanager
def alone(campaign: Campaign, name: str, folder: Path) -> Iterator[None]:
    """Hold the lease `name` and a folder while the body runs, after whoever holds it has ended.

    What the body writes is refused from the moment on that another process has taken the campaign over.
    """
    store = campaign.store
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    mine = _taken(campaign, name)
    with leases.held(store, mine):
        store.guard = lambda connection: leases.owned(connection, mine)
        try:
            yield
        finally:
            store.guard = None


def _taken(campaign: Campaign, name: str) -> Lease:
    waited = False
    while True:
        with campaign.store.write() as connection:
            got = leases.take(connection, name)
        if isinstance(got, Lease):
            return got
        if not waited:
            campaign.lines.say(
                f"{name} runs already, on {host(got)}: waiting for its end; Ctrl-C leaves it alone",
                style="yellow",
            )
        waited = True
        time.sleep(POLL_S)
