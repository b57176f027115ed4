"""The gate of memory: exact repeats, predicted failures, and how often a prediction was wrong."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, final

import sqlalchemy as sa

from research.memory.failures import Failures, identity
from research.memory.features import Flat, flat
from research.memory.history import configs, counts
from research.memory.records import Doubt
from research.run import teachers
from research.space.signature import INERT, signature
from research.stats.draws import KEY
from research.store.claims import same
from research.store.schema import episode, trial
from research.store.store import Store
from research.types import Key

_LEARNT_FROM = 4000
"""trials, the newest: each costs a tenth of a millisecond to read"""
_AGAIN = 25
"""trials that must have ended since it learnt before it learns again"""


@final
class Doubts:
    """Asks the past about configurations; each is counted once, however often it is asked about."""

    def __init__(
        self,
        store: Store,
        own: Store,
        *,
        most_false: float = 0.01,
        least: int = 10,
        probe: float = 0.1,
        inert: Sequence[str] = INERT,
    ) -> None:
        """`store` is read; `own` holds this campaign's trials, in which the fate of probes is looked up.

        `probe`: share of the configurations predicted to fail that is let through all the same, chosen by
        their hash: how many of those succeed tells how many of the refused would have.
        """
        self._store, self._own, self._inert = store, own, tuple(inert)
        self._failures = Failures(most_false=most_false, least=least)
        self._probe = probe
        self._learnt: int | None = None
        self._last = 0
        self._repeats: set[str] = set()
        self._refused: set[str] = set()
        self._probes: set[str] = set()

    def about(self, config: Mapping[str, Any]) -> Doubt | None:
        """Why a resolved config, seed included, need not be run; None where nothing is known against it.

        Raises `Refusal` when its data or device is not there, or the database cannot be used.
        """
        name = signature(config, self._inert)
        return self._repeat(teachers.key(config, name)) or self._predicted(config, name)

    def _repeat(self, key: Key) -> Doubt | None:
        known = self._store.known([key]).get(key)
        if known is not None:
            self._repeats.add(key.signature)
            said = f"Trial {known.trial_id} has run exactly this: its result is used."
            return Doubt(kind="repeat", sentence=said, chance=0.0, trial_id=known.trial_id)
        lost = (trial.c.status == "failed") & trial.c.reason.like("diverged%")
        asked = sa.select(trial.c.id, trial.c.reason).where(same(key), lost).order_by(trial.c.id)
        with self._store.read() as connection:
            row = connection.execute(asked).first()
        if row is None:
            return None
        self._repeats.add(key.signature)
        said = f"Trial {row.id} has run exactly this and failed ({row.reason}): change something."
        return Doubt(kind="repeat", sentence=said, chance=1.0, trial_id=row.id)

    def _predicted(self, config: Mapping[str, Any], name: str) -> Doubt | None:
        self._learn()
        knobs = self.knobs(config)
        chance = self._failures.refuses(knobs)
        if chance is None:
            return None
        if self._is_probe(knobs):
            self._probes.add(name)
            return None
        self._refused.add(name)
        said = (
            f"Trials like this one fail: {100 * chance:.0f} % of the trees that learnt from them expect it."
        )
        return Doubt(kind="failure", sentence=said, chance=chance)

    def knobs(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a failure is predicted from: the config without its seeds and what changes no result."""
        return flat(config, (*self._inert, "seed", KEY))

    def _is_probe(self, knobs: Flat) -> bool:
        digest = hashlib.sha256(repr(identity(knobs)).encode()).digest()
        return int.from_bytes(digest[:4]) < self._probe * 2**32

    def _learn(self) -> None:
        """Learn, and learn again once a tenth more trials have ended: only new rows are counted."""
        c = episode.c
        new = sa.select(sa.func.count(), sa.func.max(c.id)).where(c.id > self._last, c.trial_id.is_not(None))
        with self._store.read() as connection:
            count, last = connection.execute(new).one()
        if self._learnt is not None and count < max(_AGAIN, self._learnt // 10):
            return
        past = list(configs(self._store, _LEARNT_FROM))
        self._learnt, self._last = len(past), last or self._last
        self._failures.learn([self.knobs(config) for config, _ in past], [failed for _, failed in past])

    def counts(self) -> dict[str, int | None]:
        """Configurations by what was said of them, and of the probes how many ended and did not fail.

        `false` is None until a probe has ended.
        """
        c = trial.c
        asked = sa.select(c.signature, c.status, c.reason).where(c.signature.in_(sorted(self._probes)))
        with self._own.read() as connection:
            rows = [row for row in connection.execute(asked) if counts(row.status, row.reason)]
        ended, good = {row.signature for row in rows}, {row.signature for row in rows if row.status == "done"}
        return {
            "repeats": len(self._repeats),
            "refused": len(self._refused),
            "probed": len(self._probes),
            "ended": len(ended),
            "false": len(good) if ended else None,
        }
