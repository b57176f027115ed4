"""`task=compare a=... b=...`: two configurations paired by seed, metric by metric, or why they cannot be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.metrics import METRICS, VALIDATION, Metric, described, is_exact, is_timed, quantity
from research.page import counted
from research.run.lookup import retold
from research.space.identity import data_alone
from research.stats.alpha import even
from research.stats.arms import Arm, apart, between, sound_seeds
from research.stats.claims import Claim
from research.stats.comparable import comparable, unpaired
from research.stats.decide import ENOUGH
from research.stats.intervals import WORDS, summary
from research.stats.sentences import difference
from research.store.queries import first_of_each_seed, siblings
from research.tasks.answer import Answer, Reference, absent, reference, table
from research.tasks.show import STAGES, row_of
from research.types import Comparison, Over, Record, Trial, VerdictWord

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
class MetricLine(Record):
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
    rows: tuple[MetricLine, ...] = ()
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
            f"{counted(len(self.seeds), 'shared seed')}: {ENOUGH} are needed to decide. "
            if len(self.seeds) < ENOUGH
            else ""
        )
        return "\n".join([*head, "", *lines, "", few + self.note, *_grounds(self.rows)])


def compare(campaign: Campaign, a: int | str | None, b: int | str | None) -> Compared:
    """Compare what `a` and `b` point at. Raises `Refusal` for rows that are not there or not finished."""
    wanted = [reference(given, key, ("trial", "proposal")) for key, given in (("a", a), ("b", b))]
    if wanted[0] == wanted[1]:
        raise Refusal(f"a and b are both {wanted[0]}: point at two different ones.")
    store = campaign.known
    stage = _stage(store, wanted)
    sides = [_trials(store, row, stage) for row in wanted]
    seeds = tuple(sorted(set(sides[0]) & set(sides[1])))
    first, other = (_side(row, trials) for row, trials in zip(wanted, sides, strict=True))
    if first.trials == other.trials:
        raise Refusal(f"{first.name} and {other.name} are one configuration: point at trials of two.")
    why = _unlike(sides, seeds)
    rows = () if why else tuple(_rows(store, sides, seeds))
    span = apart([(sides[0].values(), sides[1].values())])
    note = f"{_NOTE}; {span}, and what a clock takes drifts with the machine" if span else _NOTE
    told: dict[str, Any] = {"seeds": seeds, "comparable": why is None, "why": why, "rows": rows, "note": note}
    return Compared(a=first, b=other, stage=stage, **told)


def _stage(store: "Store", wanted: Sequence[Reference]) -> str | None:
    """The last stage in which both proposals share a seed, else the last of both; None for a trial."""
    if any(row.kind != "proposal" for row in wanted):
        return None
    facts = [row_of(store, row)["facts"] for row in wanted]
    reached = [stage for stage in STAGES if all(own.get(stage) for own in facts)]
    if not reached:
        raise Refusal(
            f"{wanted[0]} and {wanted[1]} have no stage in common that was run: task=run id=... runs one."
        )
    # Two contenders were confirmed on seeds of their own: they meet in the promotion.
    seeds = {stage: [set(_trials(store, row, stage)) for row in wanted] for stage in reached}
    met = [stage for stage, (first, other) in seeds.items() if first & other]
    return (met or reached)[-1]


def _trials(store: "Store", wanted: Reference, stage: str | None) -> dict[int, Trial]:
    """Seed -> trial of one side: the stage's trials of a proposal, or the siblings of a trial."""
    if wanted.kind == "proposal":
        facts = row_of(store, wanted)["facts"]
        last = stage or next((reached for reached in reversed(STAGES) if facts.get(reached)), "")
        ids = [number for number in facts.get(last, []) if number is not None]
        done = [trial for trial in store.trials(ids=ids) if trial.status == "done"] if ids else []
    else:
        rows = store.trials(ids=[wanted.number])
        if not rows:
            raise absent(wanted)
        done = siblings(store, rows[0]) if rows[0].status == "done" else []
    if not done:
        raise Refusal(f"{wanted} has no finished trial: there is nothing to compare yet.")
    return first_of_each_seed(done, store.results([trial.id for trial in done]))


def _side(wanted: Reference, trials: dict[int, Trial]) -> Side:
    first = next(iter(trials.values()))
    overrides = tuple(text for text in first.overrides if not text.startswith("seed="))
    return Side(
        name=str(wanted), overrides=overrides, trials={seed: trial.id for seed, trial in trials.items()}
    )


def _unlike(sides: Sequence[dict[int, Trial]], seeds: Sequence[int]) -> str | None:
    """Why nothing of the two can be compared."""
    if not seeds:
        listed = [", ".join(map(str, sorted(side))) for side in sides]
        return f"they share no seed (a has {listed[0]}, b has {listed[1]}): run both over the same seeds."
    first, second = (side[seeds[0]] for side in sides)
    data = [str((trial.config.get("data") or {}).get("_target_")) for trial in (first, second)]
    if data[0] != data[1]:
        return f"a was trained on {data[0]} and b on {data[1]}: compare trials of one data set."
    if data_alone(first.key) != data_alone(second.key):
        return "the data changed between them: run the older one again."
    return None


def _rows(store: "Store", sides: Sequence[dict[int, Trial]], seeds: Sequence[int]) -> list[MetricLine]:
    trials = [side[seed] for side in sides for seed in seeds]
    meter = trials[0].config.get("meter")  # one grid for both sides
    stored = store.results([trial.id for trial in trials])
    results = {number: retold(result, meter) for number, result in stored.items()}
    measured = set.intersection(*(set(result.metrics) for result in results.values()))
    a, b = (
        Arm((), rows=rows, results=tuple(results[trial.id] for trial in rows))
        for side in sides
        for rows in [tuple(side[seed] for seed in seeds)]
    )
    return [_row(metric, a, b) for metric in [*METRICS, *VALIDATION] if metric in measured]


def _row(metric: str, a: Arm, b: Arm) -> MetricLine:
    # A seed of which one trial was disturbed is no pair; where none is left, all are told with the reason.
    kept = sound_seeds(metric, a, b) or list(a.seeds)
    means = [_mean(side, metric, kept) for side in (a, b)]
    told: dict[str, Any] = {"metric": metric, "a": means[0], "b": means[1]}
    better = described(metric)
    complaint = _incomparable(metric, better, a, b, kept)
    if complaint or better is None:
        return MetricLine(**told, word="open", comparison=None, reason=complaint or "")
    found = between(Claim.improvement(metric, better.better).first, a, b, even(_ALPHA))
    values = [side.by_seed(metric, kept) for side in (a, b)]
    word = "equal" if values[0] == values[1] else _WORDS[found.word]
    if word == "open" and is_exact(metric) and all(len(set(one.values())) == 1 for one in values):
        word = "better" if (means[1] < means[0]) == (better.better == "min") else "worse"  # whatever the seed
    left = f"; {len(a.rows) - len(kept)} {_LEFT_OUT}" if len(kept) < len(a.rows) else ""
    return MetricLine(**told, word=word, comparison=found.comparison, reason=found.reason + left)


def _mean(side: Arm, metric: str, seeds: Sequence[int]) -> float:
    """Of what was measured, disturbed or not."""
    pairs = zip(side.seeds, side.results, strict=True)
    return summary(result.metrics[metric] for seed, result in pairs if seed in seeds).mean


def _incomparable(metric: str, read: Metric | None, a: Arm, b: Arm, seeds: Sequence[int]) -> str | None:
    """Why no word can be said of a metric: it claims nothing, or the clocks tell different things."""
    known = described(metric)
    if known is not None and not known.claimed:
        return "told only: it is the machine's or the lab's, and no training's merit"
    pairs = [pair for pair in zip(a.rows, b.rows, strict=True) if pair[0].seed in seeds]
    if is_timed(metric) and all(one.id == other.id for one, other in pairs):
        return None
    results = {result.trial_id: result for result in (*a.results, *b.results)}
    return comparable(metric, [trial for pair in pairs for trial in pair], results) or unpaired(metric, pairs)


def _grounds(rows: Sequence[MetricLine]) -> list[str]:
    """What the intervals of the scores rest on, each ground once."""
    grounds: dict[Over, list[str]] = {}
    for row in rows:
        if row.comparison and row.comparison.over:
            grounds.setdefault(row.comparison.over, []).append(row.metric)
    return [f"{WORDS[over]}: {', '.join(metrics)}" for over, metrics in grounds.items()]


def _why(row: MetricLine) -> str:
    """Why nothing is said of a row, or not by all pairs, without the metric's own name."""
    if row.comparison is not None:
        return row.reason.rpartition("; ")[2] if row.reason.endswith(_LEFT_OUT) else ""
    return row.reason.removeprefix(row.metric).lstrip(": ")


def _cells(row: MetricLine, reasons: Sequence[str]) -> tuple[str, ...]:
    why = f"[{reasons.index(_why(row)) + 1}]" if _why(row) else ""
    told = ("", "") if row.comparison is None else (difference(row.comparison), str(row.comparison.n))
    return (row.metric, quantity(row.metric, row.a), quantity(row.metric, row.b), *told, row.word, why)
