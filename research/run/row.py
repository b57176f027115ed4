"""One trial's row from claim to result: looked up first, leased while it runs, failed with its reason.

A finished result waits in the trial's folder until it stands in the database, and is delivered once: a long
outage, a kill while it waits and a full disk cost the row, not the training. Whoever claims the same trial
next delivers what waits instead of training.
"""

import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pulse
from redact import redact, shown, text
from refusal import Ended, Refusal
from research.run import teachers
from research.run.checks import check
from research.run.heart import Cancelled, Heart
from research.run.lookup import columns, lacking, retold
from research.space import identity, profiles
from research.space.signature import signature
from research.store import faults
from research.store.claims import wanted
from research.store.states import AttemptOutcome
from research.store.store import Busy, Known, Lost, Store, TrialClaim
from research.types import Trial

POLL_S = 0.5
UNDELIVERED = "undelivered.json"
Curve = Sequence[dict[str, float]]


@final
@dataclass
class Row:
    """The row of one trial; `status` is `running` until its numbers stand in the database."""

    store: Store
    trial_id: int
    folder: Path
    digest: str
    """of its key: what its checkpoints say that they are of"""
    ckpt_path: str | None = None
    """the very file whose content is in the key: a folder may have a newer one by the time it is read"""
    status: str = "running"
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """what the training begins from, by key, with the SHA-256 of each"""
    _claim: TrialClaim | None = None
    _meter: dict[str, Any] | None = None
    """by which joules and carbon of a known trial are told"""

    @property
    def trial(self) -> Trial:
        """The row itself, as it stands in the database."""
        return self.store.trials(ids=[self.trial_id])[0]

    def finish(self, metrics: dict[str, float], facts: dict[str, Any], curve: Curve) -> None:
        """Write the result in one transaction.

        Raises:
            Lost: another process took the row over, because this one was paused for longer than its lease.
        """
        facts = facts | ({"files": self.files} if self.files else {})
        # What each example came to is packed numbers, where letters may stand as in a key.
        facts = {key: value if key == "examples" else redact(value, key) for key, value in facts.items()}
        _keep(self.folder, [self.digest, metrics, facts, list(curve)])
        self._deliver(metrics, facts, curve)

    def _deliver(self, metrics: dict[str, float], facts: dict[str, Any], curve: Curve) -> None:
        assert self._claim is not None
        try:
            self.store.finish(self._claim, metrics, facts, curve)
        except Lost:
            _forget(self.folder)  # another measures the trial by now: these figures are nobody's
            raise
        _forget(self.folder)
        self.status, self.metrics, self.facts = "done", metrics, facts

    def deliver_what_waits(self) -> None:
        """Write the result that an earlier attempt measured and could not write: nothing is to do then."""
        waits = _kept(self.folder, self.digest)
        if waits is not None:
            self._deliver(*waits)
            self.status = "known"

    def complete(self, metrics: dict[str, float], facts: dict[str, Any]) -> None:
        """Add what was left unmeasured to a row that is done; the row is what stands then."""
        stands = retold(self.store.complete(self.trial_id, metrics, facts), self._meter)
        self.status, self.metrics, self.facts = "known", stands.metrics, stands.facts

    def fail(self, error: BaseException) -> None:
        """Write why the trial failed; where that cannot be written, the error says so as well."""
        assert self._claim is not None
        try:
            spent = error.spent if isinstance(error, Ended) else None
            self.store.fail(self._claim, reason(error), {"spent": spent} if spent else None, _outcome(error))
        except (Refusal, Lost) as trouble:
            error.add_note(f"and its row could not be written: {trouble}")

    def answer(self, score: str) -> dict[str, Any]:
        """Return what a sweep or an agent is told; the score is None when this task has no such metric."""
        return {
            "status": self.status,
            "trial_id": self.trial_id,
            "score": self.metrics.get(score),
            "metrics": self.metrics,
            "facts": self.facts,
            "folder": str(self.folder),
        }


def _keep(folder: Path, figures: list[Any]) -> None:
    """Write figures down; a folder that takes no file now leaves the database as the only place for them."""
    body = json.dumps(figures, default=_plain)
    kept = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    temporary = folder / f".{UNDELIVERED}.{os.getpid()}.tmp"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(kept, file)
        temporary.replace(folder / UNDELIVERED)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _kept(folder: Path, digest: str) -> list[Any] | None:
    """Metrics, facts and curve that wait in a folder of this very trial; None where none do, or damaged."""
    try:
        kept = json.loads((folder / UNDELIVERED).read_text())
        whose, *figures = json.loads(kept["body"])
        whole = hashlib.sha256(kept["body"].encode()).hexdigest() == kept["sha256"]
        return figures if whole and whose == digest and len(figures) == 3 else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _forget(folder: Path) -> None:
    with suppress(OSError):
        (folder / UNDELIVERED).unlink()


def _outcome(error: BaseException) -> AttemptOutcome:
    """The outcome of an attempt that this error ended."""
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted"
    return faults.outcome(reason(error))


@contextmanager
def claimed(
    config: dict[str, Any],
    *,
    overrides: Sequence[str],
    sweep: str | None,
    source: str,
    leased: Sequence[Any] | None = None,
) -> Iterator[Row]:
    """Hold the row of `config`; a known trial comes with its numbers and status `known`: nothing is to do.

    `leased` is a row's id and its token, where this process was started for it. One that left something
    unmeasured that is asked for has status `partial`, and its weights in its folder; where those are gone it
    is run again, as a replicate.

    What the body raises is written as the reason of a failed row and raised again. Raises `Refusal`, before
    any row is written, for what no trial could run with and for a profile of hardware that is exceeded.
    """
    check(config)
    profiles.refuse(config)
    begun, damaged = identity.begun(config)
    pinned = config.get("ckpt_path") if begun is None else str(begun.absolute())
    key = teachers.key(config | {"ckpt_path": pinned}, signature(config))
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:12]
    force = bool(config.get("force"))
    folder = Path(config["root"]) / (f"{digest}-{secrets.token_hex(3)}" if force else digest)
    values = columns(config, overrides, sweep, source) | {"folder": str(folder)}
    # A trial that another process waits for outlasts an outage; a person who has just typed it does not.
    with closing(Store(config["store"]["url"], patient=pulse.is_watched())) as store:
        asked = wanted(key, force=force, **values)
        first = None if leased is None else store.begin(TrialClaim(*leased), asked)
        got = _claim(lambda: store.claim(key, force=force, **values), first)
        partial = isinstance(got, Known) and bool(lacking(got.result.facts, config))
        if isinstance(got, Known) and partial and not _weights(got):
            folder = Path(config["root"]) / f"{digest}-{secrets.token_hex(3)}"
            again = values | {"folder": str(folder)}
            # A replicate answers, also one that was disturbed: else it would run once more each time.
            got = store.whole(got) or _claim(lambda: store.claim(key, force=True, **again))
            partial = False
        if isinstance(got, Known):
            meter = config.get("meter")
            known, status = Path(got.trial.folder or folder), "partial" if partial else "known"
            told = got.result if partial else retold(got.result, meter)
            figures: dict[str, Any] = {"metrics": told.metrics, "facts": told.facts}
            yield Row(store, got.trial.id, known, digest, status=status, _meter=meter, **figures)
        else:
            if begun is not None and damaged:
                names = ", ".join(path.name for path in damaged)
                print(shown(f"damaged: {names}; training goes on from {begun}"), file=sys.stderr)
            files = identity.files(config | {"ckpt_path": pinned})
            folder = _own(store, got, folder)
            row = Row(store, got.trial_id, folder, digest, pinned, files=files, _claim=got)
            with Heart(store, got).beating(), _failing(row), pulse.spending(folder, got.token):
                row.deliver_what_waits()
                yield row


def _weights(known: Known) -> bool:
    return known.trial.folder is not None and (Path(known.trial.folder) / "weights.pt").is_file()


def _own(store: Store, mine: TrialClaim, folder: Path) -> Path:
    """The folder of this attempt: its own where an earlier one may still write to the trial's.

    What that one has saved is taken along; the checkpoints' digests tell what was cut off.
    """
    if not store.may_live(mine):
        return folder
    own = folder.with_name(f"{folder.name}-{mine.token[:6]}")
    saved = folder / "checkpoints"
    if saved.is_dir():
        shutil.copytree(saved, own / "checkpoints", dirs_exist_ok=True)
    store.place(mine, str(own))
    return own


def _claim(
    claim: Callable[[], TrialClaim | Known | Busy], got: TrialClaim | Known | Busy | None = None
) -> TrialClaim | Known:
    """Claim the row unless it was `got`, waiting while another process runs the same trial."""
    waited = False
    while isinstance(got := got or claim(), Busy):
        if not waited:
            print(f"trial {got.trial.id} runs in another process: waiting for its result", file=sys.stderr)
        waited, got = True, None
        pulse.beat("a look whether another process has ended")
        time.sleep(POLL_S)
    return got


@contextmanager
def _failing(row: Row) -> Iterator[None]:
    """Write what the body raises as the reason of a failed row; trouble with that never hides the error."""
    try:
        yield
    except BaseException as error:
        if row.status == "running":
            row.fail(error)
        raise


def reason(error: BaseException) -> str:
    """Return one line that says why a trial failed, for example `diverged: the loss is nan at step 12`."""
    words = text(" ".join(str(error).split()))[:500]
    if isinstance(error, Ended):
        return words
    kinds = {"Refusal": "refused", "KeyboardInterrupt": "interrupted"}
    return f"{kinds.get(type(error).__name__, type(error).__name__)}: {words}".rstrip(": ")
