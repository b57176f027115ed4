"""What attempts at trials were spent, those that were killed among them."""

from collections.abc import Mapping

import sqlalchemy as sa

from research.store.schema import FINAL, attempt, metric, trial
from research.store.states import FAILED
from research.types import Key

_OF = {"seconds": "train/seconds", "cpu_seconds": "train/cpu_seconds", "joules": "train/energy_j"}
_C, _A = trial.c, attempt.c


def spent(figures: Mapping[str, float]) -> dict[str, float]:
    """What a row of an attempt says of a training's figures."""
    return {name: figures[key] for name, key in _OF.items() if key in figures}


def joules(connection: sa.Connection, sweep: str, key: Key | None = None) -> dict[Key, float]:
    """What the trials of a sweep were trained for, over all attempts, those that were killed among them.

    Where nobody wrote down what an attempt spent, it is what its trial measured, or said when it failed.
    """
    parts, own = [_C[part] for part in Key._fields], [_C.sweep == sweep]
    own += [] if key is None else [_C[part] == value for part, value in key._asdict().items()]
    taken = (metric.c.key == "train/energy_j") & (metric.c.point == FINAL)
    measured = dict(
        map(tuple, connection.execute(sa.select(_C.id, metric.c.value).join(metric).where(*own, taken)))
    )
    tried = (
        sa.select(_C.id, _A.outcome, _A.joules, *parts).outerjoin(attempt).where(*own).order_by(_C.id, _A.n)
    )
    failed = sa.select(_C.id, _C.facts).where(*own, _C.status.in_(FAILED))
    told = {
        row.id: (row.facts.get("spent") or {}).get("train/energy_j") for row in connection.execute(failed)
    }
    spent: dict[Key, float] = {}
    for number, ended, used, *of in connection.execute(tried):
        if used is None and ended in ("done", None):
            used = measured.get(number, told.get(number))
        spent[Key(*of)] = spent.get(Key(*of), 0.0) + (used or 0.0)
    return spent


def all_joules(connection: sa.Connection, sweep: str) -> float:
    """The sum of `joules`, by the database where each attempt has its own."""
    done = _A.outcome.is_(None) | (_A.outcome == "done")
    untold = sa.func.sum(sa.case((_A.joules.is_(None) & done, 1), else_=0))
    query = sa.select(sa.func.sum(_A.joules), untold).select_from(trial.outerjoin(attempt))
    told, more = connection.execute(query.where(_C.sweep == sweep)).one()
    return sum(joules(connection, sweep).values()) if more else float(told or 0.0)


def lost_joules(connection: sa.Connection, sweep: str) -> float:
    """What attempts of a sweep used that is in no result: they failed, or were killed before they had saved.

    By the database, each by the calibration of its time. A result without joules tells of nothing lost.
    """
    taken = (metric.c.trial_id == _C.id) & (metric.c.key == "train/energy_j") & (metric.c.point == FINAL)
    of_result = (_A.outcome == "done") | _A.outcome.is_(None)
    used = sa.func.coalesce(_A.joules, sa.case((of_result, metric.c.value)))
    whole = trial.outerjoin(attempt).outerjoin(metric, taken)
    over = sa.case((_C.status == "done", metric.c.value.is_not(None)), else_=_A.outcome.is_not(None))
    told = (_C.sweep == sweep) & over
    paid = connection.execute(sa.select(sa.func.sum(used)).select_from(whole).where(told)).scalar_one()
    query = sa.select(sa.func.sum(metric.c.value)).select_from(trial.join(metric, taken))
    lost = (paid or 0.0) - (connection.execute(query.where(_C.sweep == sweep)).scalar_one() or 0.0)
    # Sums of floats in two orders differ in their last digits.
    return float(lost) if lost > 1e-6 * (paid or 0.0) else 0.0
