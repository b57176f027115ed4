"""A language model as one source of proposals: it sees the state of the search, and the gate decides."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isinf
from statistics import median
from typing import Annotated, Any, final

from pydantic import Field

from research.llm.client import Client
from research.llm.dialogue import ask_for
from research.llm.prompt import RULE, data, data_json
from research.metrics import rank
from research.propose.dimensions import Dimensions, Drawn
from research.propose.proposer import Proposer, Seen, State
from research.types import Objective, Proposal, Record

_SHOWN = 20
"""latest proposals in a prompt: enough to see what was tried, few enough for a small model's context"""
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
    overrides: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(max_length=64)


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
            proposer=self.name,
        )

    def spent(self) -> dict[str, Any]:
        """Calls, tokens, dollars, joules, seconds, and the outcomes of all replies."""
        spent = self._client.ledger.spent
        used = {"calls": spent.calls, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        cost = {"dollars": spent.dollars, "joules": spent.joules, "seconds": spent.seconds}
        return {**used, **cost, "outcomes": dict(self.outcomes)}

    def _complaints(self, suggestion: Draft, state: State) -> list[str]:
        if not suggestion.overrides:
            return ["overrides is empty, which is the lab's default: change something."]
        asked = frozenset(override.replace(" ", "") for override in suggestion.overrides)
        if any(asked == frozenset(earlier.overrides) for earlier in state.seen):
            return ["exactly these overrides were proposed before: propose something else."]
        return list(self._check(list(suggestion.overrides)))


def messages(state: State, vocabulary: Mapping[str, Any]) -> list[dict[str, str]]:
    """The prompt: the task and the vocabulary are ours, everything else stands in marked blocks."""
    parts = [
        f"Objective: {said(state.objective)}.",
        "Vocabulary, what may be turned and in which range:",
        data_json(lean(vocabulary), "vocabulary", limit=40_000),
        *standing(state),
        *searched(state, vocabulary),
        latest(state),
        "Propose the experiment that is most likely to improve the objective over the best so far.",
    ]
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "\n".join(parts)}]


def standing(state: State) -> list[str]:
    """What a search is about and how far it has come, as marked blocks."""
    said = [data("\n".join(state.person), "what the person says meanwhile")] if state.person else []
    return [
        data(state.goal, "goal of the person"),
        *said,
        data_json(state.fixed, "already fixed for every trial, not yours to set"),
        data_json(row(state.control), "control arm"),
        data_json(row(state.incumbent), "best so far"),
    ]


def latest(state: State) -> str:
    """The latest proposals as a marked block."""
    return data_json([row(seen) for seen in state.seen[-_SHOWN:]], "latest proposals and what came of them")


def searched(state: State, vocabulary: Mapping[str, Any]) -> list[str]:
    """What the search itself knows, as marked blocks: spread over trials and seeds, and what mattered."""
    metric = state.objective.metric
    values = [
        result.metrics[metric]
        for result in state.seen
        if result.status == "done" and metric in result.metrics
    ]
    parts = []
    if len(values) > 1:
        told = {"results": len(values), "least": min(values), "median": median(values), "most": max(values)}
        failed = sum(result.status == "failed" for result in state.seen)
        parts.append(data_json(_short(told | {"failed": failed}), f"spread of {metric} over what was tried"))
    if state.spread:
        parts.append(data_json(_short(state.spread), "standard deviation of the control over seeds"))
    important = importances(state, vocabulary)
    if important:
        source = "part of the variance that each knob explains (fANOVA), a rough estimate"
        parts.append(data_json(important, source))
    return parts


def lean(value: Any) -> Any:
    """Nested plain data without the fields that say nothing; options are names of a group, and all stay."""
    if isinstance(value, Mapping):
        pairs = ((name, item if name == "options" else lean(item)) for name, item in value.items())
        return {name: item for name, item in pairs if not _silent(item)}
    return [lean(item) for item in value] if isinstance(value, list | tuple) else value


def _silent(value: Any) -> bool:
    return (
        value is None
        or value is False
        or value in ("", [], {})
        or (isinstance(value, float) and isinf(value))
    )


def said(objective: Objective) -> str:
    """An objective as a model reads it: `minimise train/energy_j with val/accuracy >= 0.9`."""
    bounds = [f"{bound.metric} {bound.op} {bound.bound:g}" for bound in objective.constraints]
    return f"{objective.direction}imise {objective.metric}" + (f" with {', '.join(bounds)}" if bounds else "")


def row(seen: Seen | None) -> dict[str, Any] | None:
    """A proposal as the model sees it: four digits, and no empty fields."""
    if seen is None:
        return None
    metrics = _short(seen.metrics)
    told = {
        "overrides": list(seen.overrides),
        "status": seen.status,
        "metrics": metrics,
        "reason": seen.reason,
    }
    return {name: value for name, value in told.items() if value}


def _short(figures: Mapping[str, float]) -> dict[str, float]:
    return {
        name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in figures.items()
    }


ENOUGH = 12
"""results below which nothing is said"""
_NAMED = 8
Place = tuple[float, float]


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


def _comparable(state: State, dimensions: Dimensions) -> list[tuple[Drawn, Place]]:
    """The results that have every dimension of the incumbent, with these alone, and their rank."""
    best = dimensions.read(state.incumbent.overrides) if state.incumbent else None
    names = {axis.name for axis, _ in best or ()}
    placed = []
    for seen in (state.control, *state.seen):
        drawn = _drawn(seen, dimensions, names)
        place = rank(state.objective, seen.metrics) if seen else (math.inf, math.inf)
        if drawn and not math.isinf(place[0]):
            placed.append((drawn, place))
    return placed


def _drawn(seen: Seen | None, dimensions: Dimensions, names: set[str]) -> Drawn:
    read = dimensions.read(seen.overrides) if seen and seen.status == "done" else None
    kept = [(axis, text) for axis, text in read or () if axis.name in names]
    return kept if len(kept) == len(names) else []


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
