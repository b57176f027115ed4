"""Which examples are for training, validation and test: as the data say, the rest held out by shares."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from reading.decoded import PARTS, TEST, TRAIN, UNSPLIT, VAL, Decoded
from refusal import Refusal

_SHOWN = 5
_FEW = 3
"""examples of a class below which all are for training: there is not one for each part"""


def split(
    data: Decoded, val_share: float, test_share: float, seed: int
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """(rows of train, val and test, ascending; sentences that a person must be told).

    Parts that the data have stay. What is missing is drawn from the rest, at random by `seed`, in the same
    shares of every class; examples that are the same go to one part together. Raises `Refusal` where a share
    leaves nothing for a part.
    """
    parts = np.array(data.parts)
    pool = UNSPLIT if (parts == UNSPLIT).any() else TRAIN
    parts[parts == UNSPLIT] = TRAIN
    drawn = {TEST: test_share, VAL: val_share}
    drawn = {part: share for part, share in drawn.items() if not (parts == part).any()}
    if any(not 0 < share < 1 for share in drawn.values()) or sum(drawn.values()) >= 1:
        raise Refusal(
            f"data.val_share {val_share} and data.test_share {test_share} must be above 0 and leave a rest "
            "for training: for example 0.2 and 0.2."
        )
    notes: list[str] = []
    free = np.flatnonzero(data.parts == pool)
    _hold_out(parts, free, data, drawn, seed)
    for part, share in drawn.items():
        got, asked = int((parts == part).sum()), share * len(free)
        if abs(got - asked) > max(1.0, 0.02 * len(free)):
            notes.append(
                f"{PARTS[part]} holds {got} examples, not the {asked:.0f} asked for: equal ones stay together"
            )
    rows = {name: np.flatnonzero(parts == part) for part, name in enumerate(PARTS)}
    empty = [name for name, own in rows.items() if not len(own)]
    if empty:
        raise Refusal(
            f"the {empty[0]} split holds none of {len(parts)} examples{_why_none(data, free)}: give it more "
            "data, or change the shares of the splits."
        )
    return rows, notes + _untested(data, rows, drawn) + _shared(data.twins, parts) + _contradicted(data)


def _why_none(data: Decoded, free: NDArray[np.int64]) -> str:
    """What keeps drawn parts empty beside their size."""
    different = len(np.unique(data.twins[free]))
    if data.task == "classification" and np.unique(data.targets[free], return_counts=True)[1].max() < _FEW:
        return f", as no class has {_FEW} (data.task=regression is for values)"
    if different < len(free):
        return f", as only {different} of them differ in their inputs and equal ones stay together"
    return ""


def _untested(data: Decoded, rows: dict[str, NDArray[np.int64]], drawn: Iterable[int]) -> list[str]:
    """A sentence for each part that was drawn without some class, which is too rare."""
    if data.task not in ("classification", "multilabel"):
        return []
    told = []
    for name in (PARTS[part] for part in drawn):
        own = data.targets[rows[name]]
        here = np.unique(own) if own.ndim == 1 else np.flatnonzero(own.any(0))
        absent = np.setdiff1d(np.arange(int(data.about["classes"])), here)
        called = data.about.get("names") or range(int(data.about["classes"]))
        names = [str(called[number]) for number in absent[:_SHOWN]]
        told += [f"{name} has no example of {', '.join(names)}: too few have it"] if names else []
    return told


def _hold_out(
    parts: NDArray[np.int8], free: NDArray[np.int64], data: Decoded, drawn: dict[int, float], seed: int
) -> None:
    """Mark what goes to each part of `drawn` among the `free` rows.

    Groups of equal examples are put in an order in which any stretch holds all classes in their shares: the
    one of rank r of the n in its class stands at (r + u) / n, u uniform. The parts are its first stretches.
    """
    if not drawn:
        return
    rng = np.random.default_rng(seed)
    heads, first, inverse, sizes = np.unique(
        data.twins[free], return_index=True, return_inverse=True, return_counts=True
    )
    labels = _strata(data, free[first])
    at = np.empty(len(heads))
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        at[own] = (np.arange(len(own)) + rng.random(len(own))) / len(own) + (1 if len(own) < _FEW else 0)
    order = np.argsort(at, kind="stable")
    ends = np.cumsum(sizes[order])
    start = 0.0
    for part, share in drawn.items():
        stop = start + share * len(free)
        middle = ends - sizes[order] / 2
        chosen = np.zeros(len(heads), bool)
        chosen[order[(middle > start) & (middle <= stop) & (at[order] < 1)]] = True
        parts[free[chosen[inverse]]] = part
        start = stop


def _strata(data: Decoded, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What each row is to be held out alike in: its class, or the rarest of its several."""
    if data.task == "classification":
        return np.asarray(data.targets[rows])
    if data.task != "multilabel":
        return np.zeros(len(rows), np.int64)
    own = np.asarray(data.targets[rows])
    counts = own.sum(0)
    rarest = np.where(own, counts, len(rows) + 1).argmin(1)
    return np.asarray(np.where(own.any(1), rarest, own.shape[1]))


def _shared(twins: NDArray[np.int64], parts: NDArray[np.int8]) -> list[str]:
    """A sentence for each part that holds examples of another."""
    own = [twins[parts == part] for part in range(len(PARTS))]
    pairs = ((VAL, TRAIN), (TEST, TRAIN), (TEST, VAL))
    counts = [(PARTS[part], PARTS[other], int(np.isin(own[part], own[other]).sum())) for part, other in pairs]
    return [
        f"{count} examples of {part} are in {other} too, the same to the last bit"
        for part, other, count in counts
        if count
    ]


def _contradicted(data: Decoded) -> list[str]:
    """A sentence where examples are the same and have other classes, as a picture in two folders has."""
    if data.task not in ("classification", "multilabel"):
        return []
    differ = data.targets != data.targets[data.twins]
    odd = np.flatnonzero(differ if differ.ndim == 1 else differ.any(1))
    if not len(odd):
        return []
    names = data.about.get("names") or list(map(str, range(int(data.about["classes"]))))
    pair = [data.targets[data.twins[odd[0]]], data.targets[odd[0]]]
    said = [
        names[one] if differ.ndim == 1 else ", ".join(names[at] for at in np.flatnonzero(one)) or "none"
        for one in pair
    ]
    return [
        f"{len(odd)} of {len(data.targets)} examples are the same as one of other classes, such as one of "
        f"{said[0]} and one of {said[1]}"
    ]
