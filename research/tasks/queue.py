"""`task=queue` and `task=steer`: what waits and runs, the verbs on it, and words for a campaign that runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.campaign.steering import FILE, Steerable, Steering, add
from research.page import counted
from research.store import leases, queries
from research.store.states import OPEN
from research.tasks.answer import Answer, Reference, absent, reference, table
from research.tasks.report import campaign_named
from research.types import Record

if TYPE_CHECKING:
    from research.store.store import Store

_BY = "cancelled by task=queue"


@final
class QueuedTrial(Record):
    """A trial that has not ended."""

    id: int
    status: str
    """queued, paused, leased (its process begins), running, ending (it was cancelled), or lost"""
    priority: int
    attempts: int
    seconds: float
    """since it was queued, or begun"""
    sweep: str | None
    overrides: tuple[str, ...]
    reason: str | None
    """why it waits again"""


@final
class Waiting(Answer):
    """What there is to do, and what was done about it."""

    did: str = ""
    trials: tuple[QueuedTrial, ...]
    left: int
    """trials that have not ended and are not shown"""
    proposals: tuple[tuple[int, int], ...]
    """those that wait for task=run, and their priorities"""
    paused: tuple[str, ...]

    def text(self) -> str:
        """What was done, then trials in the order in which they are handed out."""
        heads = ("trial", "is", "priority", "attempts", "for s", "of", "overrides")
        rows = [
            (
                *map(
                    str,
                    (one.id, one.status, one.priority, one.attempts, f"{one.seconds:.0f}", one.sweep or "-"),
                ),
                " ".join(one.overrides) + (f"   ({one.reason})" if one.reason else ""),
            )
            for one in self.trials
        ]
        lines = [self.did] if self.did else []
        lines += table(heads, rows) if rows else ["no trial waits or runs"]
        lines += [f"and {self.left} more: limit={len(rows) + self.left} shows them"] if self.left else []
        waiting = ", ".join(
            f"{number}{f' (priority {urgent})' if urgent else ''}" for number, urgent in self.proposals
        )
        lines += [f"proposals that wait for task=run: {waiting}"] if waiting else []
        lines += [f"paused: {', '.join(self.paused)}; resume=NAME goes on"] if self.paused else []
        return "\n".join(lines)


def queue(
    campaign: Campaign,
    cancel: str | None,
    pause: str | None,
    resume: str | None,
    first: str | None,
    priority: int | None,
    limit: int,
) -> Waiting:
    """Do what is asked of the queue, and tell how it stands then.

    Raises `Refusal` for more than one wish at a time, and for a name or row that is not there.
    """
    if limit < 1:
        raise Refusal(f"limit={limit} lists nothing: give a whole number of rows above 0.")
    wishes: dict[str, tuple[str | None, Callable[[Store, str], str]]] = {
        "cancel": (cancel, _cancel),
        "pause": (pause, lambda store, name: _pause(store, name, on=True)),
        "resume": (resume, lambda store, name: _pause(store, name, on=False)),
        "first": (first, lambda store, name: _first(store, name, 1 if priority is None else priority)),
    }
    if priority is not None and first is None:
        raise Refusal(f"priority={priority} is of what is taken first: add first=proposal:3, or a name.")
    asked = [(given, do) for given, do in wishes.values() if given is not None]
    if len(asked) > 1:
        raise Refusal(f"task=queue takes one of {', '.join(wishes)} at a time.")
    store = campaign.known
    did = [do(store, given) for given, do in asked]
    return _told(store, did[0] if did else "", limit)


def _told(store: "Store", did: str, limit: int) -> Waiting:
    paused = store.paused()
    with store.read() as connection:
        rows = queries.waiting(connection, limit + 1)
        gone = queries.gone(connection)
        count = sum(
            queries.statuses(connection, "trial").get(word, 0)
            for word in ("queued", "leased", "running", "lost")
        )
    held = {"all"} & set(paused)
    trials = [
        QueuedTrial(
            id=row.id,
            status=_word(row, row.id in gone, bool(held) or row.sweep in paused),
            priority=row.priority,
            attempts=row.attempts,
            seconds=row.seconds,
            sweep=row.sweep,
            overrides=tuple(row.overrides),
            reason=row.reason,
        )
        for row in rows[:limit]
    ]
    waiting = [(row["id"], int(row["facts"].get("priority", 0))) for row in store.proposals(status="queued")]
    ordered = sorted(waiting, key=lambda one: (-one[1], one[0]))
    return Waiting(
        did=did,
        trials=tuple(trials),
        left=count - len(trials),
        proposals=tuple(ordered),
        paused=tuple(paused),
    )


def _word(row: object, gone: bool, paused: bool) -> str:
    status = str(getattr(row, "status", ""))
    if gone:
        return "lost"
    if status == "queued":
        return "paused" if paused else status
    return "ending" if getattr(row, "cancel", 0) else status


def _rows(store: "Store", given: str) -> tuple[Reference | None, list[int]]:
    """The row that is meant, and its trials that have not ended. Raises `Refusal` where there is none."""
    if given.replace(":", "").isdigit() or given.partition(":")[0] in ("trial", "proposal"):
        wanted = reference(given, "id", ("trial", "proposal"))
        with store.read() as connection:
            if queries.row(connection, wanted.kind, wanted.number) is None:
                raise absent(wanted)
        return wanted, [wanted.number] if wanted.kind == "trial" else []
    ids = [trial.id for trial in store.trials(sweep=given, status=OPEN)]
    if not ids:
        raise Refusal(f"Nothing of {given[:80]!a} waits or runs: task=queue lists what does.")
    return None, ids


def _cancel(store: "Store", given: str) -> str:
    wanted, ids = _rows(store, given)
    if wanted is not None and wanted.kind == "proposal":
        leases.alter_proposal(store, wanted.number, "dropped", {"reasons": [_BY]})
        return f"{wanted} is dropped"
    waited, run = store.cancel(ids, _BY)
    if not waited + run:
        raise Refusal(f"{given} has ended: there is nothing to cancel.")
    parts = [f"{waited} that waited" if waited else "", f"{run} that run, at their next step" if run else ""]
    return f"cancelled: {' and '.join(filter(None, parts))}"


def _pause(store: "Store", name: str, *, on: bool) -> str:
    if on and name != "all":
        _rows(store, name)
    if not on and name not in store.paused():
        raise Refusal(f"{name[:80]!a} is not paused: task=queue tells what is.")
    store.pause(name, on)
    return f"{name} is paused: what runs is let end" if on else f"{name} goes on"


def _first(store: "Store", given: str, priority: int) -> str:
    wanted, ids = _rows(store, given)
    if wanted is not None and wanted.kind == "proposal":
        leases.alter_proposal(store, wanted.number, "queued", {"priority": priority})
        return f"{wanted} has priority {priority}"
    count = store.prioritise(ids, priority)
    if not count:
        raise Refusal(f"{given} does not wait: there is nothing to take first.")
    return f"{counted(count, 'trial')} now of priority {priority}"


@final
class Steered(Answer):
    """What a campaign has been told."""

    campaign: str
    file: Path
    said: tuple[str, ...]
    """the lines in force"""
    wrong: tuple[str, ...]
    """what is left out, and why"""

    def text(self) -> str:
        """The lines, and where they are."""
        said = [f"said       {line}" for line in self.said] or ["nothing was said yet"]
        return "\n".join([*said, *(f"wrong      {line}" for line in self.wrong), f"file       {self.file}"])


def steer(campaign: Campaign, say: str | None, id: str | None) -> Steered:
    """Add a line to the steer.md of a campaign, which reads it before its next proposals.

    Raises `Refusal` for a line that is not understood, and a name or campaign that is not there.
    """
    name = campaign_named(campaign.known, "campaign" if id is None else id)
    file = campaign.root / "agent" / name / FILE
    names, news = Steerable(campaign.space.vocabulary()), list[str]()
    if say is not None:
        line = names.read(say)
        if not file.parent.is_dir():
            raise Refusal(f"There is no folder {file.parent}: give the root=FOLDER that the campaign has.")
        add(file, line)
    steering = Steering(file, names, {}, news.extend)
    steering.look(0)
    wrong = tuple(text for text in news if not text.startswith("the person said"))
    return Steered(campaign=name, file=file, said=steering.said, wrong=wrong)
