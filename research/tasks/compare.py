"""`task=compare a=... b=...`: two configurations paired by seed, metric by metric, or why they cannot be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from refusal import Refusal
from research.metrics import (
    METRICS,
    VALIDATION,
    Metric,
    described,
    is_exact,
    is_timed,
    quantity,
    scale,
)
from research.run.retold import retold
from research.space.identity import data_alone
from research.stats.alpha import even
from research.stats.arms import apart
from research.stats.comparable import comparable, sound, unpaired
from research.stats.decide import ENOUGH
from research.stats.draws import of_pair
from research.stats.intervals import WORDS, summary
from research.stats.sentences import difference
from research.stats.verdicts import judge
from research.store.queries import first_of_each_seed, siblings
from research.tasks.answer import Answer, Reference, absent, reference, table
from research.tasks.desk import Desk
from research.tasks.show import STAGES, row_of
from research.types import Comparison, Over, Record, Result, Trial, VerdictWord

if TYPE_CHECKING:
    from research.store.store import Store

_NOTE = (
    "b against a, paired by seed; each 95 % interval stands alone: nothing here corrects for looking at many "
    "metrics, so what matters is confirmed by task=research"
)
_LEFT_OUT = "disturbed pairs left out"
Word = Literal["better", "worse", "equal", "open"]
_WORDS: dict[VerdictWord, Word] = {"supported": "better", "refuted": "worse", "open": "open"}
_ALPHA = 0.05


@final
class Side(Record):
    """One of the two: what was pointed at, and the trial of each seed."""

    name: str
    overrides: tuple[str, ...]
    trials: dict[int, int]
    """seed -> trial"""


@final
class Row(Record):
    """One metric: the means over the shared seeds, and the difference b minus a with its interval."""

    metric: str
    a: float
    b: float
    word: Word
    """what b is against a"""
    comparison: Comparison | None
    reason: str
    """why it is open or cannot be compared, else what decided"""


@final
class Compared(Answer):
    """Both sides and their metrics; `why` says what keeps them from being compared at all."""

    a: Side
    b: Side
    stage: str | None
    """of two proposals: the stage whose trials are compared"""
    seeds: tuple[int, ...]
    comparable: bool
    why: str | None
    rows: tuple[Row, ...] = ()
    note: str = _NOTE

    def text(self) -> str:
        """A table, b's difference with its interval."""
        head = [
            f"a  {self.a.name}  {' '.join(self.a.overrides)}",
            f"b  {self.b.name}  {' '.join(self.b.overrides)}",
        ]
        if not self.comparable:
            return "\n".join([*head, f"not comparable: {self.why}"])
        # One neighbour disturbs a dozen figures: each reason is told once, below.
        reasons = list(dict.fromkeys(filter(None, map(_why, self.rows))))
        cells = [_cells(row, reasons) for row in self.rows]
        lines = table(("metric", "a", "b", "b - a", "n", "b is", "why"), cells)
        lines += ["", *(f"[{at}] {why}" for at, why in enumerate(reasons, 1))] if reasons else []
        few = (
            f"{len(self.seeds)} shared seeds: {ENOUGH} are needed to decide. "
            if len(self.seeds) < ENOUGH
            else ""
        )
        return "\n".join([*head, "", *lines, "", few + self.note, *_grounds(self.rows)])


def compare(desk: Desk, a: int | str | None, b: int | str | None) -> Compared:
    """Compare what `a` and `b` point at. Raises `Refusal` for rows that are not there or not finished."""
    wanted = [reference(given, key, ("trial", "proposal")) for key, given in (("a", a), ("b", b))]
    if wanted[0] == wanted[1]:
        raise Refusal(f"a and b are both {wanted[0]}: point at two different ones.")
    store = desk.known
    stage = _stage(store, wanted)
    sides = [_trials(store, one, stage) for one in wanted]
    seeds = tuple(sorted(set(sides[0]) & set(sides[1])))
    first, other = (_side(one, trials) for one, trials in zip(wanted, sides, strict=True))
    why = _unlike(sides, seeds)
    rows = () if why else tuple(_rows(store, sides, seeds))
    span = apart([(sides[0].values(), sides[1].values())])
    note = f"{_NOTE}; {span}, and what a clock takes drifts with the machine" if span else _NOTE
    told: dict[str, Any] = {"seeds": seeds, "comparable": why is None, "why": why, "rows": rows, "note": note}
    return Compared(a=first, b=other, stage=stage, **told)


def _stage(store: "Store", wanted: Sequence[Reference]) -> str | None:
    """The last stage in which both proposals have a seed, else the last that both reached.

    None where a trial is pointed at.
    """
    if any(one.kind != "proposal" for one in wanted):
        return None
    facts = [row_of(store, one)["facts"] for one in wanted]
    reached = [stage for stage in STAGES if all(one.get(stage) for one in facts)]
    if not reached:
        raise Refusal(
            f"{wanted[0]} and {wanted[1]} have no stage in common that was run: task=run id=... runs one."
        )
    # Two contenders were confirmed on seeds of their own: they meet in the promotion.
    met = [
        stage for stage in reached if set.intersection(*(set(_trials(store, one, stage)) for one in wanted))
    ]
    return (met or reached)[-1]


def _trials(store: "Store", wanted: Reference, stage: str | None) -> dict[int, Trial]:
    """Seed -> trial of one side: the stage's trials of a proposal, or the siblings of a trial."""
    if wanted.kind == "proposal":
        facts = row_of(store, wanted)["facts"]
        stages = [stage] if stage else [one for one in reversed(STAGES) if facts.get(one)][:1]
        ids = [number for one in stages for number in facts.get(one, []) if number is not None]
        found = [one for one in store.trials(ids=ids) if one.status == "done"] if ids else []
    else:
        rows = store.trials(ids=[wanted.number])
        if not rows:
            raise absent(wanted)
        found = siblings(store, rows[0]) if rows[0].status == "done" else []
    if not found:
        raise Refusal(f"{wanted} has no finished trial: there is nothing to compare yet.")
    return first_of_each_seed(found, store.results([one.id for one in found]))


def _side(wanted: Reference, trials: dict[int, Trial]) -> Side:
    first = next(iter(trials.values()))
    overrides = tuple(text for text in first.overrides if not text.startswith("seed="))
    return Side(name=str(wanted), overrides=overrides, trials={seed: one.id for seed, one in trials.items()})


def _unlike(sides: Sequence[dict[int, Trial]], seeds: Sequence[int]) -> str | None:
    """Why nothing of the two can be compared."""
    if not seeds:
        listed = [", ".join(map(str, sorted(side))) for side in sides]
        return f"they share no seed (a has {listed[0]}, b has {listed[1]}): run both over the same seeds."
    first, second = (side[seeds[0]] for side in sides)
    data = [str((one.config.get("data") or {}).get("_target_")) for one in (first, second)]
    if data[0] != data[1]:
        return f"a was trained on {data[0]} and b on {data[1]}: compare trials of one data set."
    if data_alone(first.key) != data_alone(second.key):
        return "the data changed between them: run the older one again."
    return None


def _rows(store: "Store", sides: Sequence[dict[int, Trial]], seeds: Sequence[int]) -> list[Row]:
    trials = [side[seed] for side in sides for seed in seeds]
    meter = trials[0].config.get("meter")  # one grid for both sides
    found = store.results([one.id for one in trials])
    results = {number: retold(one, meter) for number, one in found.items()}
    measured = set.intersection(*(set(result.metrics) for result in results.values()))
    known = [*METRICS, *VALIDATION]
    return [_row(key, sides, seeds, results) for key in known if key in measured]


def _row(
    metric: str, sides: Sequence[dict[int, Trial]], seeds: Sequence[int], results: dict[int, Result]
) -> Row:
    pairs = [(sides[0][seed], sides[1][seed]) for seed in seeds]
    # A seed of which one trial was disturbed is no pair; where none is left, all are told with the reason.
    whole = [pair for pair in pairs if all(metric in sound(results[one.id]) for one in pair)] or pairs
    values = [{pair[side].seed: results[pair[side].id].metrics[metric] for pair in whole} for side in (0, 1)]
    a, b = (summary(side.values()).mean for side in values)
    better = described(metric)
    complaint = _incomparable(metric, better, whole, results)
    if complaint or better is None:
        return Row(metric=metric, a=a, b=b, word="open", comparison=None, reason=complaint or "")
    asked: dict[str, Any] = {"metric": metric, "scale": scale(metric)}
    grounds = of_pair(metric, [one for one, _ in whole], [other for _, other in whole], results)
    found = judge(*values, **asked, direction=better.better, rate=even(_ALPHA), ground=grounds)
    word = "equal" if values[0] == values[1] else _WORDS[found.word]
    if word == "open" and is_exact(metric) and all(len(set(one.values())) == 1 for one in values):
        word = "better" if (b < a) == (better.better == "min") else "worse"  # whatever the seed
    left = f"; {len(pairs) - len(whole)} {_LEFT_OUT}" if len(whole) < len(pairs) else ""
    return Row(metric=metric, a=a, b=b, word=word, comparison=found.comparison, reason=found.reason + left)


def _incomparable(
    metric: str, read: Metric | None, pairs: Sequence[tuple[Trial, Trial]], results: dict[int, Result]
) -> str | None:
    """Why no word can be said of a metric: it claims nothing, or the clocks tell different things."""
    if read is not None and not read.claimed:
        return "told only: it is the machine's or the lab's, and no training's merit"
    trials = [one for pair in pairs for one in pair]
    same = is_timed(metric) and all(one.id == other.id for one, other in pairs)
    return None if same else comparable(metric, trials, results) or unpaired(metric, pairs)


def _grounds(rows: Sequence[Row]) -> list[str]:
    """What the intervals of the scores rest on, each ground once."""
    found: dict[Over, list[str]] = {}
    for row in rows:
        if row.comparison and row.comparison.over:
            found.setdefault(row.comparison.over, []).append(row.metric)
    return [f"{WORDS[over]}: {', '.join(metrics)}" for over, metrics in found.items()]


def _why(row: Row) -> str:
    """Why nothing is said of a row, or not by all pairs, without the metric's own name."""
    if row.comparison is not None:
        return row.reason.rpartition("; ")[2] if row.reason.endswith(_LEFT_OUT) else ""
    return row.reason.removeprefix(row.metric).lstrip(": ")


def _cells(row: Row, reasons: Sequence[str]) -> tuple[str, ...]:
    found = row.comparison
    told = "" if found is None else difference(found)
    why = f"[{reasons.index(_why(row)) + 1}]" if _why(row) else ""
    n = "" if found is None else str(found.n)
    return (row.metric, quantity(row.metric, row.a), quantity(row.metric, row.b), told, n, row.word, why)
