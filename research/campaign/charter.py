"""What a campaign is asked, allowed and fixed to: everything that its way depends on beside the store."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from pydantic import Field, ValidationError

from refusal import Refusal
from research.compose.override import keys_of, override
from research.goal.goal import Goal, read
from research.goal.names import DEFAULT_DATA
from research.metrics import described, is_ratio, is_score, shown
from research.space.bounds import parted
from research.stats.decide import ENOUGH
from research.team.review import Thresholds
from research.types import Constraint, Record

_OF_SCORES, _OF_LOSSES = 2.0, 0.1
"""how many times `Search.worth` it is, by what is searched"""


@final
class Stop(Record):
    """How early a training is ended."""

    keep: float = Field(default=0.5, gt=0, lt=1)
    """share of those that reached a rung that goes on from it"""
    rungs: tuple[float, ...] = (0.3, 0.6)
    """shares of the budget at which curves are compared"""
    enough: int = Field(default=4, ge=1)
    """curves that a rung needs before it stops any"""
    slack: float = Field(default=1.25, ge=1)
    """how many times the best's cost a training may come to: costs spread from run to run"""
    beside: float = Field(default=60.0, gt=0)
    """seconds after which what the bar rests on is measured anew, beside the trainings that it is for"""
    audit: float = Field(default=0.2, ge=0, le=1)
    """share of the stopped that is trained to its end all the same, to see whether that was right"""


@final
class Screen(Record):
    """How screening is done."""

    turns: int = Field(default=24, ge=1)
    """proposals that are run"""
    at_once: int = Field(default=2, ge=1)
    """proposals asked for before their results are told: the same on every machine, so that it repeats"""
    seeds: tuple[int, ...] = (0,)
    stop: Stop | None = Stop()
    """when a training that cannot win is ended; None lets each train to its end"""


@final
class Search(Record):
    """When a search ends by itself."""

    worth: float | None = Field(default=0.1, gt=0)
    """expected gain per joule of what could still be proposed, as a share of what it has been so far, below
    which it ends; twice that where a score is searched, a tenth for a loss or an error. None goes on to its
    turns and budget"""

    def price(self, metric: str) -> float | None:
        """The same for a goal of this metric: of a score, most of what can be gained comes first.

        A loss falls from far at the beginning, beside which all that matters later is little.
        """
        known = described(metric)
        lower = known is not None and known.better == "min"
        scale = 1.0 if is_ratio(metric) else _OF_LOSSES if lower else _OF_SCORES
        return None if self.worth is None else scale * self.worth


@final
class Ladder(Record):
    """How the control is stopped."""

    close: float = Field(default=1.2, gt=1, le=2)
    """the steps are known within this factor: a step shorter by it breaks the bound"""


@final
class Promote(Record):
    """The best `arms` race for `trials`, all together, over `seeds` that are none of the screening's."""

    arms: int = Field(default=8, ge=1)
    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    trials: int = Field(default=12, ge=1)

    @property
    def most(self) -> int:
        """Trials of contenders at most, without the control's."""
        return min(self.arms * len(self.seeds), self.trials)


@final
class Confirm(Record):
    """How contenders are confirmed."""

    arms: int = Field(default=2, ge=1)
    """contenders that may be confirmed, one after another, until one is supported"""
    seeds: int = Field(default=5, ge=ENOUGH)  # fresh ones, of each look
    looks: int = Field(default=2, ge=1)
    """how often seeds are added while the verdict is open; all looks share one error rate"""
    first_seed: int = Field(default=1000, ge=0)
    """of the first contender; seeds that any trial on this data has had are passed over"""
    estimate: int = Field(default=5, ge=0)
    """seeds that are run after a claim is supported to tell its size: those that decided tell it too large"""
    margin: float | None = Field(default=0.01, gt=0)
    """loss of the score up to which an arm that is cheaper is as good; None does not ask"""

    @property
    def each(self) -> int:
        """Seeds that a contender may need."""
        return self.seeds * self.looks + self.estimate


@final
class Sprints(Record):
    """How long the campaign goes on: it ends earlier with its budget, or with a confirmed target."""

    count: int = Field(default=1, ge=1)
    minutes: float = Field(default=15.0, gt=0, le=60 * 24 * 31)
    """of each sprint, shared among its boxes"""


@final
class Charter(Record):
    """The goal as understood, what is fixed for every trial, and how each stage is done."""

    goal: Goal
    fixed: tuple[str, ...]
    """overrides of every trial: the data, what the goal names, and the person's `base`"""
    free: tuple[str, ...] = ()
    """what the person's `base` leaves open within bounds, as `model.width=16,32`"""
    quiet: tuple[str, ...] = ()
    """overrides of every trial that change no result"""
    seed: int = 0
    alpha: float = Field(default=0.05, gt=0, lt=1)
    screen: Screen = Screen()
    search: Search = Search()
    ladder: Ladder | None = Ladder()
    """how the control is stopped at the goal's bound; None holds no claim to it"""
    promote: Promote = Promote()
    confirm: Confirm = Confirm()
    shares: dict[str, float] = {}
    sprint: Sprints = Sprints()
    review: Thresholds = Thresholds()
    budget: dict[str, float | None] = {}
    team: dict[str, str] = {}
    """model, memory, literature and field: with others the campaign would take another way"""
    setting: str = ""
    """digest of the code, data and hardware of its trials: with others they would not be known"""
    notes: tuple[str, ...] = ()
    """what of the goal is judged otherwise than it was typed, and why"""

    @property
    def name(self) -> str:
        """The campaign's name, equal for equal charters: the goal's words and a digest of everything."""
        unsaid = {"notes"} if self.free else {"notes", "free"}  # names of before stay what they were
        text = json.dumps(self.model_dump(mode="json", exclude=unsaid), sort_keys=True)
        words = "-".join(re.findall(r"[a-z0-9]+", self.goal.text.lower()))[:40].strip("-") or "goal"
        return f"{words}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def turns_length(self) -> bool:
        """Whether proposals may train longer or shorter: what the person has fixed is not theirs."""
        return not any(one.lstrip("+").startswith("budget.steps=") for one in self.fixed)


def charter(config: Mapping[str, Any], conf: Path) -> Charter:
    """The charter of a resolved `conf/agent.yaml`.

    Raises `Refusal` for a goal that is not understood, and for a value that makes no sense.
    """
    base, free = parted(config["base"])
    goal = read_goal(config, conf, base)
    shares = _shares(config["proposer"], goal)
    fixed = [*goal.overrides, *base]
    if not {"data", "experiment"} & keys_of(fixed):
        fixed.insert(0, f"data={DEFAULT_DATA}")
    held = keys_of(fixed)
    given = {
        "goal": goal,
        "fixed": fixed,
        "free": free,
        "quiet": [line for line in config["quiet"] if override(line).key not in held],
        "shares": shares,
        "team": _team(config),
    }
    own = Charter.model_fields.keys() - {*given, "setting", "notes"}
    stages = {name: config[name] for name in own if name in config}
    try:
        found = Charter.model_validate(stages | given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"{where} is not usable: {first['msg']}.") from None
    found = with_margins(found)
    _check_seeds(found)
    if not any(share > 0 for share in found.shares.values()):
        raise Refusal(f"proposer.shares={found.shares} gives nobody a turn: set one of them above 0.")
    dollars = found.budget.get("dollars")
    if dollars is not None and not dollars >= 0:
        hint = "give 0 for models without a price, more, or null"
        raise Refusal(f"budget.dollars={dollars:g} buys nothing: {hint}.")
    return found


def _shares(proposer: Mapping[str, Any], goal: Goal) -> dict[str, Any]:
    """Who has which share of the turns, for this goal. Raises `Refusal` for what is no list of them."""
    shares, of_costs = proposer["shares"], proposer.get("of_costs") or {}
    if not isinstance(shares, Mapping):
        raise Refusal("proposer.shares gives nobody a turn: write {tpe: 0.7, random: 0.3}, or proposer=auto.")
    if not isinstance(of_costs, Mapping) or not all(_is_factor(each) for each in of_costs.values()):
        raise Refusal(f"proposer.of_costs={of_costs} must be factors of shares, such as {{forest: 0.2}}.")
    bounds = goal.objective.constraints
    if not is_ratio(goal.objective.metric) or not any(is_score(bound.metric) for bound in bounds):
        return dict(shares)
    # What is no number is refused with the rest of the charter.
    numbers = {name: share for name, share in shares.items() if _is_factor(share)}
    return {**shares, **{name: of_costs.get(name, 1) * share for name, share in numbers.items()}}


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def read_goal(config: Mapping[str, Any], conf: Path, fixed: Sequence[str]) -> Goal:
    """The goal in words, and what of it is typed beside. Raises `Refusal` for one that is not understood."""
    asked = {name: config["objective"][name] for name in ("metric", "direction", "constraints")}
    return read(str(config["goal"] or ""), conf, **asked, fixed=fixed, own=config.get("config_dir"))


def with_margins(asked: Charter) -> Charter:
    """The charter with a margin for each score that is to be no worse than the control's.

    Without one the best that seeds could show is that it is better, for figures that spread are never shown
    to be equal. The margin is that of the campaign, `confirm.margin`.
    """
    margin, notes, bounds = asked.confirm.margin, list[str](), list[Constraint]()
    for bound in asked.goal.objective.constraints:
        _check_relative(bound)
        level = {"difference": 0.0, "ratio": 1.0, None: None}[bound.of_control]
        if bound.bound != level or not is_score(bound.metric):
            bounds.append(bound)
            continue
        if margin is None:
            hint = "give the loss that does not matter, as confirm.margin=0.01"
            raise Refusal(f"No number of seeds shows that {shown(bound)}: {hint}.")
        loss = -margin if bound.op == ">=" else margin
        bounds.append(bound.model_copy(update={"bound": loss, "of_control": "difference"}))
        why = f"no number of seeds shows that {shown(bound)}"
        notes.append(f"{why}: it is held to {shown(bounds[-1])} (confirm.margin)")
    objective = asked.goal.objective.model_copy(update={"constraints": tuple(bounds)})
    goal = asked.goal.model_copy(update={"objective": objective})
    return asked.model_copy(update={"goal": goal, "notes": tuple(notes)}) if notes else asked


def _check_relative(bound: Constraint) -> None:
    """Raise `Refusal` for a share of the control that is none."""
    if not math.isfinite(bound.bound) or (bound.of_control == "ratio" and not bound.bound > 0):
        hint = "give a share of the control above 0, as 1.02 * control"
        raise Refusal(f"{shown(bound)} bounds nothing: {hint}.")


def _team(config: Mapping[str, Any]) -> dict[str, str]:
    """The model, memory, literature and field that proposals come from, where the config names them."""
    chosen = {"llm": "model", "memory": "mode", "literature": "_target_", "domain": "name"}
    groups = {name: group for name in chosen if isinstance(group := config.get(name), Mapping)}
    named = {name: group.get(chosen[name]) for name, group in groups.items()} | {"focus": config.get("focus")}
    return {name: str(value) for name, value in named.items() if value is not None}


def _check_seeds(found: Charter) -> None:
    used = {*found.screen.seeds, *found.promote.seeds}
    room = found.screen.at_once * len(found.screen.seeds)
    # The control stopped at the bound may be judged too, in the last sprint.
    contenders = found.confirm.arms * found.sprint.count + 1
    last = found.confirm.first_seed + found.confirm.each * contenders
    if not found.screen.seeds:
        raise Refusal("screen.seeds is empty: give at least one seed to look at, as screen.seeds=[0].")
    for name, seeds in (("screen", found.screen.seeds), ("promote", found.promote.seeds)):
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise Refusal(f"{name}.seeds={list(seeds)} is not usable: give each seed once, from 0 up.")
    if used & set(range(found.confirm.first_seed - room, last)):
        raise Refusal(
            f"confirm.first_seed={found.confirm.first_seed} to {last - 1} are not fresh: choose a first seed "
            "above screen.seeds and promote.seeds, because a winner is confirmed on seeds that chose nothing."
        )
