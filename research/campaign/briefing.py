"""What a team is told of its campaign: the search with all its seeds, its setting, and what is left of it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, final

from research.campaign.rows import Row, rows_of
from research.compose.trees import text_of
from research.metrics import is_test, screening_objective, untested
from research.propose.proposer import Lane, Seen, State, lane_of, view
from research.run.lookup import retold
from research.stats.comparable import sound
from research.stats.intervals import summary
from research.team.brief import Brief, Judged
from research.team.discussion import PROPOSER
from research.types import ProposalFacts, Result, SprintFacts, Verdict

if TYPE_CHECKING:
    from research.campaign.campaign import Campaign

_SOURCES = 6
"""works that a discussion is shown"""
_POINTS = 8
"""of the learning curve"""
_FINDINGS = 4
"""latest findings of earlier sprints"""


def brief(campaign: "Campaign", state: State, cited: frozenset[str] | None = None) -> Brief:
    """What the roles are told now; literature is looked up where it may be `cited` beside these ids.

    They see what their own lane has tried: a lane without the model is no measure of it otherwise.
    """
    area, focus = (campaign.charter.team.get(name, "") for name in ("domain", "focus"))
    library, query = campaign.library, " ".join([campaign.charter.goal.text, area, focus])
    past = _Past(campaign)
    known = past.completed(view(state, PROPOSER))
    asked = screening_objective(campaign.charter.goal.objective)
    return Brief(
        state=known,
        vocabulary=campaign.vocabulary,
        sources=() if library is None or cited is None else library.find(query, _SOURCES),
        evidence=cited or frozenset(),
        domain=area or "optimization",
        focus=focus,
        count=campaign.discussed,
        goal=None if asked == state.objective else campaign.charter.goal.objective,
        setting=past.setting(known),
        left=_left(campaign, past.number),
        curve=past.curve(known),
        verdicts=past.verdicts(),
    )


def completed(campaign: "Campaign", state: State) -> State:
    """What the team's lane knows now, with the trials, all seeds and verdicts of what it has seen."""
    return _Past(campaign).completed(view(state, PROPOSER))


def _left(campaign: "Campaign", number: int) -> dict[str, Any]:
    """Turns and budget; what has no limit is not told."""
    charter, spend = campaign.charter, campaign.spend
    limits = {name: limit for name, limit in spend.limits.items() if math.isfinite(limit)}
    left = {
        name: f"{max(0.0, limit - getattr(spend, name)):.4g} of {limit:.4g}" for name, limit in limits.items()
    }
    usual = f"about {spend.each_s:.2g} s and {spend.each_j:.2g} J" if spend.trials else None
    told = {
        "sprint": f"{number} of {charter.sprint.count}",
        "turns": f"{charter.screen.turns} a sprint, of all proposers together",
        **left,
        "a trial takes": usual,
    }
    return {name: value for name, value in told.items() if value is not None}


@final
class _Past:
    """The rows of a campaign, read once for a brief."""

    def __init__(self, campaign: "Campaign") -> None:
        self._campaign, self._store = campaign, campaign.store
        known = rows_of(self._store, campaign.charter.name)
        self._sprints = [known[number] for number in sorted(known)]
        self._config = campaign.space.resolve([*campaign.charter.quiet, *campaign.charter.fixed])
        self._trials: dict[tuple[str, tuple[str, ...]], dict[int, None]] = defaultdict(dict)
        self._verdicts: dict[tuple[str, tuple[str, ...]], str] = {}
        self._rows: dict[int, Row] = {}
        for row in (one for sprint in self._sprints for one in self._store.proposals(sprint_id=sprint["id"])):
            self._read(row)
        numbers = [number for ids in self._trials.values() for number in ids]
        results = self._store.results(numbers) if numbers else {}
        self._results = {number: retold(one, self._config.get("meter")) for number, one in results.items()}

    def _read(self, row: Row) -> None:
        key, facts = (row["proposal"].proposer, tuple(row["proposal"].overrides)), ProposalFacts.of(row)
        self._rows[row["id"]] = row
        ids = (number for number in (*facts.screened, *facts.promoted) if number is not None)
        self._trials[key] |= dict.fromkeys(ids)
        if row["status"] in ("supported", "refuted", "open"):
            self._verdicts[key] = row["status"]

    @property
    def number(self) -> int:
        """Of the sprint that is on."""
        return max((SprintFacts.of(row).number for row in self._sprints), default=1)

    def completed(self, state: State) -> State:
        """The state with the trials, all seeds and verdicts of what was seen."""
        named = {name: getattr(state, name) for name in ("control", "stopped", "incumbent")}
        more = {name: seen and self._completed(seen) for name, seen in named.items()}
        return state.model_copy(update={**more, "seen": tuple(map(self._completed, state.seen))})

    def _completed(self, seen: Seen) -> Seen:
        key = (seen.proposer, tuple(seen.overrides))
        found = [self._results[number] for number in self._trials.get(key, ()) if number in self._results]
        columns = _columns(found)
        spread = {name: summary(values).std for name, values in columns.items() if len(values) > 1}
        update = {
            "trials": tuple(one.trial_id for one in found),
            "means": {name: summary(values).mean for name, values in columns.items()},
            "spread": {name: std for name, std in spread.items() if std},
            "verdict": self._verdicts.get(key),
        }
        return seen.model_copy(update=update)

    def setting(self, state: State) -> dict[str, Any]:
        """Data, machine and how joules are taken, of the control's trial where there is one."""
        data = self._config["data"]
        told = {
            "data": " ".join(_header(self._campaign)),
            "shape": ", ".join(str(data[name]) for name in ("shape", "task") if data.get(name) is not None),
        }
        number = next(iter(state.control.trials), None) if state.control else None
        if number is not None:
            facts = self._results[number].facts
            hardware, device = self._store.trials(ids=[number])[0].key.hardware, facts.get("device", "?")
            told["machine"] = f"{hardware}, trials on {device}, threads of each: {facts.get('threads', '?')}"
            joules = (facts.get("energy_method", "unknown"), facts.get("energy_basis"))
            told["joules"] = ", ".join(filter(None, joules))
        return {name: text for name, text in told.items() if text}

    def curve(self, state: State) -> tuple[tuple[str, ...], ...]:
        """Columns and points of the control's learning curve."""
        number = next(iter(state.control.trials), None) if state.control else None
        points = [] if number is None else self._store.curve(number)
        if not points:
            return ()
        wanted = ["step", "joule", "val/accuracy", "val/bits_per_byte", "val/loss", *state.objective.metrics]
        columns = [name for name in dict.fromkeys(wanted) if name in points[-1] and not is_test(name)]
        every = math.ceil(len(points) / _POINTS)
        shown = points[::-1][::every][::-1]
        rows = [tuple(f"{point.get(name, math.nan):.4g}" for name in columns) for point in shown]
        return (tuple(columns), *rows)

    def verdicts(self) -> tuple[Judged, ...]:
        """The latest findings of the campaign, without those of a lane that has no model."""
        rows = [row for sprint in self._sprints for row in self._store.insights(sprint_id=sprint["id"])]
        own = [row for row in rows if self._lane(row["proposal_id"]) == "team"]
        return tuple(map(self._judged, own[-_FINDINGS:]))

    def _lane(self, number: int | None) -> Lane:
        row = None if number is None else self._rows.get(number)
        return "team" if row is None else lane_of(row["proposal"].proposer)

    def _judged(self, row: Row) -> Judged:
        proposal = self._rows.get(row["proposal_id"])
        return Judged(
            insight=row["id"],
            overrides=tuple(proposal["proposal"].overrides) if proposal else (),
            word=row["word"],
            size=_size(row["insight"].verdict),
            next=tuple(map(str, row["facts"].get("next") or ())),
        )


def _columns(results: Sequence[Result]) -> dict[str, list[float]]:
    """Metric -> what the results measured of it undisturbed, validation split only."""
    columns: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, value in untested(sound(result)).items():
            columns[name].append(value)
    return columns


def _size(verdict: Verdict) -> str:
    """The difference that was found; of a score no figure, since it is one of the test split."""
    size = verdict.size
    if size is None:
        return ""
    if is_test(size.metric):
        return f"{size.metric}, n = {size.n}"
    ends = f"[{size.low:+.3g}, {size.high:+.3g}]"
    return f"{size.metric} {size.difference:+.3g}{size.unit} {ends}, n = {size.n}"


def _header(campaign: "Campaign") -> Iterable[str]:
    """What the data's file says that it is, and how large."""
    chosen = campaign.space.composer.resolve(campaign.charter.fixed).choices.get("data")
    path = campaign.space.composer.files.path(f"data/{chosen}")
    lines = [line.lstrip("# ").strip() for line in text_of(path).splitlines() if line.startswith("#")]
    own = [line for line in lines if not line.startswith("@")]
    return [line for line in own if line.startswith("Cost:") or line in own[:1]]
