"""A language model as one source of proposals, and a search as it reads it; the gate decides."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Annotated, Any, final

from pydantic import Field

from research.llm.client import Client
from research.llm.dialogue import ask_for
from research.llm.prompt import RULE, data, data_json, table
from research.metrics import rank
from research.propose.dimensions import Dimensions, Drawn
from research.propose.proposer import Proposer, Seen, State
from research.space.spelling import READ, spelled
from research.stats.claims import refutation
from research.types import Objective, Proposal, Record

_SYSTEM = f"""You propose experiments in a machine learning laboratory; one is a set of Hydra overrides.
Answer with one JSON object and nothing around it:
{{"hypothesis": "one sentence that can turn out wrong", "overrides": ["group=option", "key=value"]}}
Overrides are plain `group=option` or `key=value`, one value each, from the vocabulary, within its ranges.
No seeds, no paths, no code, no interpolation. Never repeat what was tried before.
{RULE}"""


@final
class Draft(Record):
    """What a model may answer: a claim that can be wrong, and the overrides that test it."""

    hypothesis: str = Field(min_length=1, max_length=2000, pattern=r"\S")
    overrides: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        min_length=1, max_length=64
    )


@final
class LlmProposer(Proposer):
    """Asks `client` for proposals that `check` (the gate: overrides to complaints) accepts.

    A proposal that two repairs do not mend is dropped and counted. `ask` raises `llm.LlmUnavailable` and
    `ledger.CapReached`, on which the other proposers carry on.
    """

    name = "llm"

    def __init__(
        self,
        client: Client,
        check: Callable[[list[str]], Sequence[str]],
        vocabulary: Mapping[str, Any],
        *,
        repairs: int = 2,
    ) -> None:
        self._client, self._check, self._vocabulary, self._repairs = client, check, vocabulary, repairs
        self.outcomes: Counter[str] = Counter()
        """how often each reading of a reply came up, and under `dropped` how many proposals were given up"""

    def ask(self, state: State) -> Proposal | None:
        """One proposal, or None when the replies could not be mended; raises as the class says."""
        dialogue = ask_for(
            self._client,
            Draft,
            messages(state, self._vocabulary),
            role="proposer",
            check=lambda suggestion: self._complaints(suggestion, state),
            repairs=self._repairs,
        )
        self.outcomes.update(dialogue.outcomes)
        if dialogue.record is None:
            self.outcomes["dropped"] += 1
            return None
        return Proposal(
            hypothesis=dialogue.record.hypothesis,
            overrides=dialogue.record.overrides,
            control=() if state.control is None else state.control.overrides,
            metric=state.objective.metric,
            direction=state.objective.direction,
            refuted_by=refutation(state.objective),
            proposer=self.name,
        )

    def spent(self) -> dict[str, Any]:
        """Calls, tokens, dollars, joules, seconds, and the outcomes of all replies."""
        names = ("calls", "tokens_in", "tokens_out", "dollars", "joules", "seconds")
        used = {name: getattr(self._client.ledger.spent, name) for name in names}
        return {**used, "outcomes": dict(self.outcomes)}

    def _complaints(self, suggestion: Draft, state: State) -> list[str]:
        asked = frozenset(override.replace(" ", "") for override in suggestion.overrides)
        if any(asked == frozenset(earlier.overrides) for earlier in state.seen):
            return ["exactly these overrides were proposed before: propose something else."]
        return list(self._check(list(suggestion.overrides)))


def messages(state: State, vocabulary: Mapping[str, Any]) -> list[dict[str, str]]:
    """The prompt: the task is ours, everything else stands in marked blocks."""
    parts = [
        f"Objective: {said(state.objective)}.",
        *standing(state),
        history(state),
        *spread(state),
        *mattered(state, vocabulary),
        words(vocabulary, state.fixed),
        "Propose the experiment that is most likely to improve the objective over the best so far.",
    ]
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "\n".join(parts)}]


def words(
    vocabulary: Mapping[str, Any],
    fixed: Sequence[str],
    *,
    cards: bool = True,
    about: Sequence[str] | None = None,
) -> str:
    """What may be turned and in which range, as a marked block under how it is read; all as `spelled`."""
    told = spelled(vocabulary, fixed, cards=cards, about=about)
    return f"What may be turned. {READ}\n{data(told, 'vocabulary', len(told))}"


def mattered(state: State, vocabulary: Mapping[str, Any]) -> list[str]:
    """How far results lie apart and which knobs did it, as marked blocks where enough is known."""
    important = importances(state, vocabulary)
    source = "part of the variance that each knob explains (fANOVA), a rough estimate"
    return [*range_of(state), *([data_json(important, source)] if important else [])]


ENOUGH, _NAMED = 12, 8
"""results below which nothing is said of knobs, and how many are named"""


def importances(state: State, vocabulary: Mapping[str, Any]) -> dict[str, float]:
    """The most important knobs of the incumbent and their shares, largest first; at most 1 in all.

    fANOVA (Hutter, Hoos, Leyton-Brown, 2014, ICML): of the variance of the results' ranks (bounds first, as
    everywhere here) the part that each knob explains by itself, in a random forest over all results that have
    the incumbent's knobs. Empty where those are fewer than `ENOUGH`, or most of them equally good. PED-ANOVA
    is ten times as fast and named knobs without any effect here: most draws leave most knobs alone. About
    0.5 CPU seconds, and 3 for Optuna's and scikit-learn's imports before the first one.
    """
    known = _comparable(state, Dimensions(vocabulary, state.fixed))
    order = sorted(place for _, place in known)
    if len(order) < ENOUGH or order[len(order) // 2] == order[0]:
        return {}
    shares = _evaluated([(drawn, float(order.index(place))) for drawn, place in known])
    largest = sorted(shares.items(), key=lambda item: -item[1])[:_NAMED]
    return {name: round(float(share), 3) for name, share in largest if share >= 0.005}


def _comparable(state: State, dimensions: Dimensions) -> list[tuple[Drawn, tuple[float, float]]]:
    """The results that have every dimension of the incumbent, with these alone, and their rank."""
    best = dimensions.read(state.incumbent.overrides) if state.incumbent else None
    names = {axis.name for axis, _ in best or ()}
    placed = []
    for seen in [one for one in (state.control, *state.seen) if one and one.status == "done"]:
        read = dimensions.read(seen.overrides) or ()
        drawn = [(axis, text) for axis, text in read if axis.name in names]
        place = rank(state.objective, seen.metrics)
        if drawn and len(drawn) == len(names) and not math.isinf(place[0]):
            placed.append((drawn, place))
    return placed


def _evaluated(placed: list[tuple[Drawn, float]]) -> dict[str, float]:
    """Importance by knob; a place stands for the figure, because only the order counts."""
    import optuna

    from research.propose.sampler import as_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for drawn, place in placed:
        study.add_trial(optuna.trial.create_trial(value=place, **as_trial(drawn)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return shares


_BEST, _LATEST = 8, 8
"""rows of a history: the best so far, and the latest others"""
_TRIED, _FIGURES, _WHY = 24, 5, 100
"""rows of what was tried; figures of a row, and characters of a reason"""
_BESIDE = (
    "val/accuracy",
    "val/bits_per_byte",
    "train/energy_j",
    "train/seconds",
    "size/parameters",
    "train/peak_bytes",
)
"""what is told of a trial beside the objective's metrics, the first ones that there are"""


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
    names = ("control", "control stopped at the bound", "best so far")
    named: dict[tuple[str, ...], tuple[Seen, str]] = {}
    for one, name in zip((state.control, state.stopped, state.incumbent), names, strict=True):
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
    ends = {word: sum(one.word == word for one in state.seen) for word in ("failed", "stopped")}
    told = {"results": len(values), "least": min(values), "median": median(values), "most": max(values)}
    told |= {word: count for word, count in ends.items() if count}
    return [data_json(_short(told), f"spread of {metric} over what was tried")]


def _short(figures: dict[str, float]) -> dict[str, float]:
    """Figures with four digits."""
    return {name: n if isinstance(n, int) else float(f"{n:.4g}") for name, n in figures.items()}
