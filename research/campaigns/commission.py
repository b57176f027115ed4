"""From the configuration of `agent.py` to a finished campaign: builds the parts, says the objective, runs."""

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaigns.bench import Run
from research.campaigns.charter import Charter, charter
from research.campaigns.spend import Spend
from research.llm import NONE, Client, connect
from research.objective import sentence
from research.proposers.proposer import Proposer
from research.proposers.vocabulary import narrowed
from research.report.lines import Lines
from research.runner import Runner
from research.space import Space
from research.sprint import Sprint
from research.store import Store

CONF = Path(__file__).resolve().parents[2] / "conf"
_SHORTEST_S = 60.0
"""the shortest time that a trial or a question is given when nobody says"""


def research(config: Mapping[str, Any], *, run: Run | None = None, lines: Lines | None = None) -> Path:
    """Run the campaign of a resolved `conf/agent.yaml` and return the path of its report.

    `run` stands in for the processes that trials run in. Raises what `charter` and `Sprint.run` raise.
    """
    lines = lines or Lines()
    agreed = charter(config, CONF, config["proposer"]["shares"])
    _announce(agreed, lines)
    space = Space(CONF, CONF / "space.yaml")
    spend = Spend(**{name: config["budget"][name] for name in ("trials", "seconds", "joules")})
    space.resolve([*agreed.quiet, *agreed.fixed])
    store = Store(config["store"]["url"])
    opened: list[int] = []
    with closing(store), _closed(_client(config, store, opened, lines)) as client:
        proposers = _proposers(config["proposer"]["sources"], agreed, space, client)
        with _runner(config, agreed) as runner:
            sprint = Sprint(
                agreed,
                space=space,
                store=store,
                run=run or runner.run,
                spend=spend,
                root=Path(config["root"]),
                harness={"store": config["store"], "root": config["root"]},
                lines=lines,
            )
            opened.append(sprint.id)
            path = sprint.run(proposers)
        _conclude(store, sprint.id, path, lines)
        return path


def _closed(client: Client | None) -> AbstractContextManager[Client | None]:
    return client if client is not None else nullcontext()


def _announce(agreed: Charter, lines: Lines) -> None:
    lines.say(f"goal       {agreed.goal.text}")
    lines.say(f"objective  {sentence(agreed.goal.objective)}", style="bold")
    if agreed.goal.smallest_effect:
        lines.say(f"effect     at least {100 * agreed.goal.smallest_effect:g} % better than the control")
    lines.say(f"fixed      {' '.join(agreed.fixed)}")
    if agreed.goal.unused:
        lines.say(f"not used   {', '.join(agreed.goal.unused)}", style="yellow")


def _runner(config: Mapping[str, Any], agreed: Charter) -> Runner:
    limits, seconds = config["launcher"], config["budget"]["seconds"]
    timeout_s = limits["timeout_s"]
    if timeout_s is None and seconds is not None:
        timeout_s = max(_SHORTEST_S, seconds / 5)
    logs = Path(config["root"]) / "agent" / agreed.name / "logs"
    return Runner(limits["jobs"], limits["threads"], timeout_s, logs=logs)


def _client(config: Mapping[str, Any], store: Store, opened: list[int], lines: Lines) -> Client | None:
    """The language model, every exchange of which becomes a row of the sprint that is opened by then.

    None with `llm=none`, which is said.
    """

    def record(**exchange: Any) -> None:
        store.add_interaction(sprint_id=opened[-1], **exchange)

    if config["llm"].get("model") is None:
        lines.say(NONE)
        return None
    return connect(_within(config["llm"], config["budget"]), record=record)


def _within(llm: Mapping[str, Any], budget: Mapping[str, Any]) -> dict[str, Any]:
    """The model's settings inside the campaign's budget: a server that hangs may not take all of its time."""
    found = dict(llm)
    if budget["dollars"] is not None:
        cap = llm["caps"].get("dollars")
        found["caps"] = {**llm["caps"], "dollars": min(budget["dollars"], math.inf if cap is None else cap)}
    if budget["seconds"] is not None:
        longest = max(_SHORTEST_S, budget["seconds"] / 5)
        found |= {name: min(llm[name], longest) for name in ("patience_s", "timeout_s")}
    return found


def _proposers(
    sources: Mapping[str, Any], agreed: Charter, space: Space, client: Client | None
) -> list[Proposer]:
    """The proposers of the config, each given what its constructor names."""
    from hydra.utils import instantiate

    at_hand = {
        "vocabulary": _offered(narrowed(space, agreed.fixed), agreed.goal.objective.metric),
        "fixed": agreed.fixed,
        "seed": agreed.seed,
        "conf": CONF,
        "client": client,
        "check": lambda overrides: space.check(overrides, given=agreed.fixed),
    }
    makers: list[Callable[..., Proposer]] = [instantiate(source) for source in sources.values()]
    return [make(**wanted) for make in makers if (wanted := _wanted(make, at_hand)) is not None]


def _offered(vocabulary: dict[str, Any], metric: str) -> dict[str, Any]:
    """The vocabulary without compressions where the goal asks for nothing that they improve.

    They shrink the final network and lengthen the trial, some by half a minute: a search for a cheaper
    training would pay for them and learn nothing. The gate takes them whatever the goal.
    """
    if not metric.startswith(("size/", "infer/", "compress/", "compute/flops_forward")):
        vocabulary["groups"].pop("compress", None)
        vocabulary["keys"] = {k: v for k, v in vocabulary["keys"].items() if v["group"] != "compress"}
    return vocabulary


def _wanted(make: Callable[..., Proposer], at_hand: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that a constructor names; None when one of them is not at hand, as without a model."""
    names = [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    unknown = [name for name in names if name not in at_hand]
    if unknown:
        raise Refusal(f"A proposer asks for {unknown[0]}: it can have {', '.join(at_hand)}.")
    return None if any(at_hand[name] is None for name in names) else {name: at_hand[name] for name in names}


def _conclude(store: Store, sprint_id: int, path: Path, lines: Lines) -> None:
    from research.report.findings import Findings

    found = Findings(store, sprint_id)
    for insight in found.insights:
        lines.say(f"{insight.verdict.word}: {insight.claim}", style="bold")
    if not found.insights:
        lines.say("nothing was confirmed: see the notes of the report", style="bold")
    lines.say(f"report     {path}")
