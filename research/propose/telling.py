"""A search as a model reads it: the objective, one table of what was tried, what is known of the whole."""

from collections.abc import Sequence
from statistics import median

from research.llm.prompt import data, data_json, table
from research.metrics import rank
from research.propose.proposer import Seen, State
from research.types import Objective

_BEST, _LATEST = 8, 8
"""rows of a history: the best so far, and the latest others"""
_TRIED = 24
_FIGURES = 5
_BESIDE = (
    "val/accuracy",
    "val/bits_per_byte",
    "train/energy_j",
    "train/seconds",
    "size/parameters",
    "train/peak_bytes",
)
"""what is told of a trial beside the objective's metrics, the first ones that there are"""
_WHY = 100


def said(objective: Objective) -> str:
    """An objective as a model reads it: `minimise train/energy_j with val/accuracy >= 0.9`."""
    rounded = ((bound, float(f"{bound.bound:.6g}")) for bound in objective.constraints)
    bounds = [bound.model_copy(update={"bound": limit}).words for bound, limit in rounded]
    return f"{objective.direction}imise {objective.metric}" + (f" with {', '.join(bounds)}" if bounds else "")


def standing(state: State) -> list[str]:
    """What a search is about, as marked blocks."""
    told = [data(state.goal, "goal of the person")]
    told += [data("\n".join(state.person), "what the person says meanwhile")] if state.person else []
    fixed = " ".join(state.fixed) or "nothing"
    return [*told, data(fixed, "already fixed for every trial, not yours to set")]


def history(state: State, best_only: bool = False) -> str:
    """What was tried as one table, oldest first below the controls: the best, and the latest others.

    Means and spreads are over all seeds that were run. `best_only` is the controls and the best so far.
    """
    columns = _columns(state)
    rows = [_row(one, columns, name) for one, name in _named(state)]
    rows += [] if best_only else [_row(one, columns) for one in _told(state)]
    return table(["trials", "overrides", "by", *columns, "n", "what came"], rows, _title(state, len(rows)))


def tried(state: State) -> list[str]:
    """The overrides of the latest that was seen, each once: what need not be proposed again."""
    return list(dict.fromkeys(" ".join(one.overrides) for one in state.seen[-_TRIED:] if one.overrides))


def _title(state: State, shown: int) -> str:
    known = len(state.seen) + sum(1 for one, _ in _named(state) if one not in state.seen)
    return f"what was tried, {shown} of {known} rows, mean ± standard deviation over n seeds"


def _named(state: State) -> list[tuple[Seen, str]]:
    """The controls and the best so far, each once."""
    places = (
        (state.control, "control"),
        (state.stopped, "control stopped at the bound"),
        (state.incumbent, "best so far"),
    )
    named: dict[tuple[str, ...], tuple[Seen, str]] = {}
    for one, name in places:
        if one is not None:
            before = named.get(one.overrides)
            named[one.overrides] = (one, f"{before[1]}, {name}" if before else name)
    return list(named.values())


def _told(state: State) -> list[Seen]:
    """Some of what was seen, in its order, without what has a name."""
    named = {one.overrides for one, _ in _named(state)}
    others = [one for one in state.seen if one.overrides not in named]
    done = [place for place, one in enumerate(others) if one.status == "done"]
    best = sorted(done, key=lambda place: rank(state.objective, others[place].metrics))[:_BEST]
    rest = [place for place in range(len(others)) if place not in best][-_LATEST:]
    return [others[place] for place in sorted({*best, *rest})]


def _columns(state: State) -> list[str]:
    """The figures of each row: the objective's, then what else there is."""
    known = {metric for one in (state.control, *state.seen) if one is not None for metric in one.metrics}
    beside = [metric for metric in _BESIDE if metric in known]
    return list(dict.fromkeys([*state.objective.metrics, *beside]))[:_FIGURES]


def _row(one: Seen, columns: Sequence[str], name: str = "") -> list[str]:
    figures = [_figure(one, metric) for metric in columns]
    word = "" if one.word == "done" else one.word
    reason = f": {one.reason[:_WHY]}" if one.reason and one.status != "done" else ""
    came = ", ".join(filter(None, [name, f"{word}{reason}"]))
    trials = " ".join(map(str, one.trials))
    seeds = str(len(one.trials) or "") if one.metrics else ""
    return [trials, " ".join(one.overrides) or "the control", one.proposer, *figures, seeds, came]


def _figure(one: Seen, metric: str) -> str:
    value = (one.means or one.metrics).get(metric)
    if value is None:
        return ""
    spread = one.spread.get(metric)
    return f"{value:.4g}" + (f"±{spread:.2g}" if spread else "")


def spread(state: State) -> list[str]:
    """How far the control's figures lie apart over seeds, which a difference must exceed."""
    own = state.spread or (state.control.spread if state.control else {})
    wanted = {name: own[name] for name in state.objective.metrics if name in own}
    return [data_json(_short(wanted), "standard deviation of the control over seeds")] if wanted else []


def range_of(state: State) -> list[str]:
    """How far what was tried lies apart, and how it ended; nothing below two results."""
    metric = state.objective.metric
    values = [one.metrics[metric] for one in state.seen if one.status == "done" and metric in one.metrics]
    if len(values) < 2:
        return []
    told: dict[str, float] = {"results": len(values), "least": min(values), "median": median(values)}
    told["most"] = max(values)
    for word in ("failed", "stopped"):
        told |= {word: number} if (number := sum(one.word == word for one in state.seen)) else {}
    return [data_json(_short(told), f"spread of {metric} over what was tried")]


def _short(figures: dict[str, float]) -> dict[str, float]:
    """Figures with four digits."""
    return {
        name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in figures.items()
    }
