"""One question of a database, whose comparisons share one error rate whoever asks it again.

A question is what is made better, which way, and what is fixed for every trial. The wording of the goal, its
bounds, the seed, and how long is searched and trained are no part of it: asked again with others it spends
from the same rate. Fresh seeds are those that no trial on this data has had, in whatever campaign or sweep.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from pydantic import Field

from refusal import Refusal
from research.run import teachers
from research.space.gate import Space
from research.stats.alpha import Errors, left, rate
from research.store.store import Store
from research.types import Record, SprintFacts, VerdictWord

_FREE = ("budget.", "data.split_seed=", "seed=")
"""beginnings of overrides with which it is still the same question"""
Row = Mapping[str, Any]


@final
class Turn(Record):
    """The turn of one comparison in its question's ledger."""

    id: int
    number: int = Field(ge=1)
    alpha: float
    """the question's own error rate"""
    left: float
    """what of it is left for comparisons after this one"""
    supported: float
    refuted: float
    first: int
    """the first of its seeds: no trial had them when it was begun"""

    @property
    def rate(self) -> Errors:
        """Its error rates."""
        return Errors(self.supported, self.refuted)


@final
class Question:
    """Hands out turns, and the same turn again to a comparison that is continued after a kill."""

    def __init__(
        self,
        store: Store,
        key: str,
        alpha: float,
        place: str,
        data: str = "",
        before: int = 0,
    ) -> None:
        """`place` names the campaign and its sprint, `data` the data whose seeds count by its digest,
        `before` counts comparisons that a version without a ledger has made.
        """
        self._store, self.key, self._alpha = store, key, alpha
        self._place, self._data, self._before = place, data, before
        self._told: dict[int, Row] = {}
        self._seen: set[int] = set()
        self.words: list[VerdictWord] = []
        """what came out of the comparisons that were ended here"""

    def facts(self) -> dict[str, Any]:
        """What a sprint's facts say of it."""
        return {"question": self.key, "comparisons": tuple(self.words)}

    def turn(self, name: str, first: int = 0, seeds: int = 0) -> Turn:
        """The turn of a comparison, whose seeds are the first so many from `first` on that nobody has had."""
        self._seen = self._store.seeds(self._data) if seeds else set()

        def facts(rows: Sequence[Row]) -> dict[str, Any]:
            return self._facts(rows, self._unseen(rows, first, seeds)) | {"seeds": seeds}

        row = self._store.open_comparison(self.key, f"{self._place} {name}", facts)
        self._told[row["id"]] = row["facts"]
        return Turn(id=row["id"], **{key: row["facts"][key] for key in Turn.model_fields if key != "id"})

    def end(self, turn: Turn, word: VerdictWord, looks: Sequence[int] = ()) -> None:
        """Write down what came out of it, and the pairs at each look; without a look it has spent nothing."""
        if not looks:
            self._store.drop_comparison(turn.id)
            return
        self.words.append(word)
        self._store.end_comparison(turn.id, word, {**self._told[turn.id], "looks": list(looks)})

    def _facts(self, rows: Sequence[Row], first: int) -> dict[str, Any]:
        number = self._before + len(rows) + 1
        last = rows[-1] if rows else None
        carried = float(last["facts"]["supported"]) if last and last["word"] == "supported" else 0.0
        rates = rate(self._alpha, number, carried)
        told = {"number": number, "alpha": self._alpha, "left": left(self._alpha, number)}
        return told | {"supported": rates.supported, "refuted": rates.refuted, "first": first}

    def _unseen(self, rows: Sequence[Row], first: int, seeds: int) -> int:
        """The first of so many seeds in a row that no trial on this data has had, forgotten ones included."""
        kept = (range(row["facts"]["first"], row["facts"]["first"] + row["facts"]["seeds"]) for row in rows)
        seen = self._seen.union(*kept) if seeds else set()
        while taken := seen & set(range(first, first + seeds)):
            first = max(taken) + 1
        return first


def asked(space: Space, objective: Mapping[str, Any], fixed: Sequence[str], quiet: Sequence[str] = ()) -> str:
    """The name of a question; raises `Refusal` for overrides that do not compose."""
    held = [one for one in fixed if not one.lstrip("+").startswith(_FREE)]
    own = space.signature(space.resolve([*quiet, *held]))
    return f"{objective['direction']} {objective['metric']} {own[:16]}"


def digest_of_data(config: Mapping[str, Any]) -> str:
    """Where a resolved config's data comes from, as trials' keys have it; empty where it is not here."""
    try:
        return teachers.key(config, "").data
    except Refusal:
        return ""


def unkept(space: Space, sprints: Iterable[Row], key: str) -> int:
    """Comparisons of a question that sprints made before there was a ledger."""
    count = 0
    for facts in map(SprintFacts.of, sprints):
        old = facts.charter if facts.question is None else {}
        if old and facts.comparisons and _named(space, old) == key:
            count += len(facts.comparisons)
    return count


def _named(space: Space, charter: Row) -> str | None:
    try:
        return asked(space, charter["goal"]["objective"], charter["fixed"], charter.get("quiet", ()))
    except (Refusal, KeyError):
        return None  # of another tree of configurations, so nobody can ask it here
