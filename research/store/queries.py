"""Trials of one configuration: the same network on the same data and machine, whatever their seed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from research.compose.override import override
from research.stats.draws import configuration, has_own_split
from research.types import Result, Trial

if TYPE_CHECKING:
    from research.store.store import Store

_OWN = ("seed", "force", "name", "tags", "logger", "root", "store")
"""keys that do not make another configuration: looked at as text first, for that costs no JSON"""


def siblings(store: "Store", trial: Trial) -> list[Trial]:
    """The finished trials of the trial's configuration, whatever their seed, itself among them."""
    import sqlalchemy as sa

    from research.store.schema import trial as rows

    c = rows.c
    done = [c.status == "done", c.code == trial.key.code, c.data == trial.key.data]
    query = sa.select(c.id, c.overrides).where(*done, c.hardware == trial.key.hardware)
    wanted = _choices(trial.overrides)
    with store.read() as connection:
        near = [row.id for row in connection.execute(query) if _choices(row.overrides) == wanted]
    own = _same(trial)
    return [one for one in store.trials(ids=near) if _same(one) == own]


def _same(trial: Trial) -> str:
    return configuration(trial.config, has_own_split(trial))


def first_of_each_seed(trials: Iterable[Trial], results: Mapping[int, Result]) -> dict[int, Trial]:
    """Seed -> its first trial that nobody disturbed, else its first: a replicate is no pair of its own."""
    held = {number: bool(result.facts.get("disturbed")) for number, result in results.items()}
    found: dict[int, Trial] = {}
    for one in sorted(trials, key=lambda trial: (held.get(trial.id, False), trial.replicate, trial.id)):
        found.setdefault(one.seed, one)
    return found


def _choices(overrides: Iterable[str]) -> frozenset[str]:
    plain = (text.lstrip("+") for text in overrides)
    return frozenset(text for text in plain if override(text).group not in _OWN)
