"""A language model as one source of proposals: it sees the state of the search, and the gate decides."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, final

from pydantic import Field

from research.llm.client import Client
from research.llm.dialogue import ask_for
from research.llm.prompt import RULE, data, data_json
from research.metrics import rank
from research.propose.dimensions import Dimensions, Drawn
from research.propose.proposer import Proposer, Seen, State
from research.propose.telling import history, range_of, said, spread, standing
from research.space.spelling import READ, spelled
from research.stats.claims import refutation
from research.types import Proposal, Record

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
        spent = self._client.ledger.spent
        used = {"calls": spent.calls, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        cost = {"dollars": spent.dollars, "joules": spent.joules, "seconds": spent.seconds}
        return {**used, **cost, "outcomes": dict(self.outcomes)}

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
