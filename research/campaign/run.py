"""From the configuration of `agent.py` to a finished campaign: builds the parts, says the objective, runs."""

import hashlib
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaign.alone import alone
from research.campaign.bench import Run
from research.campaign.budget import Spend
from research.campaign.charter import Charter, charter
from research.campaign.conclusions import UNWRITTEN
from research.campaign.council import equipped
from research.campaign.recipe import typed
from research.campaign.rows import rows_of
from research.campaign.series import Series
from research.campaign.sprint import Sprint
from research.llm.client import NONE, Client, connect
from research.llm.ledger import tally
from research.memory.memory import Memory, opened
from research.metrics import sentence
from research.propose.proposer import Proposer, checked, made
from research.report.findings import of_campaign
from research.run import teachers
from research.run.lines import Lines
from research.run.runner import Runner
from research.space.domain import Scope, chosen, narrowed
from research.space.gate import Space
from research.store.store import Store

CONF = Path(__file__).resolve().parents[2] / "conf"
_SHORTEST_S = 60.0
"""the shortest time that a trial or a question is given when nobody says"""


def research(config: Mapping[str, Any], *, run: Run | None = None, lines: Lines | None = None) -> Path:
    """Run the campaign of a resolved `conf/agent.yaml` and return the path of its report.

    `run` stands in for the processes that trials run in. Raises what `charter`, `equipped` and `Sprint.run`
    raise. A campaign that was interrupted goes on, one that is finished is read.
    """
    lines = lines or Lines()
    shares = config["proposer"]["shares"]
    agreed = charter(config, CONF, shares)
    space = Space(CONF, CONF / "space.yaml")
    spend = Spend(**{name: config["budget"][name] for name in ("trials", "seconds", "joules")})
    agreed = agreed.model_copy(update={"setting": _setting(space, agreed)})
    root, field = Path(config["root"]), chosen(config)
    vocabulary = Scope(field).narrowed(narrowed(space, agreed.fixed), agreed.fixed)
    if field is None:
        vocabulary = _offered(vocabulary, agreed.goal.objective.metric)
    store = Store(config["store"]["url"], late=True)
    with (
        closing(store),
        closing(opened(config.get("memory"), store, inert=space.file.inert)) as memory,
        _closed(_client(config, store, agreed)) as client,
    ):
        equipment = equipped(config, agreed, CONF, client, vocabulary, field, memory)
        at_hand = _at_hand(agreed, space, client, vocabulary, Scope(field), memory)
        checked(config["proposer"]["sources"], at_hand)
        runner = _runner(config, agreed)
        # All that can be refused without it has been: from here on there is a database.
        _announce(agreed, lines, model=client is not None)
        _restore(store, agreed, spend)
        with alone(root / "agent" / agreed.name), runner:

            def sprint(number: int) -> Sprint:
                return Sprint(
                    agreed,
                    space=space,
                    store=store,
                    run=run or runner.run,
                    spend=spend,
                    root=root,
                    harness={"store": config["store"], "root": config["root"]},
                    lines=lines,
                    number=number,
                    equipment=equipment,
                )

            def proposers(number: int, model: bool) -> list[Proposer]:
                """Those of a sprint; the control lane's, without the model, only where there is one."""
                if not model and client is None:
                    return []
                given = at_hand | {"seed": _seed(agreed, number), "client": client if model else None}
                return made(config["proposer"]["sources"], given)

            path = Series(agreed, store, spend, lines, sprint, proposers).run(root)
        _conclude(store, agreed.name, path, lines)
        return path


def _setting(space: Space, agreed: Charter) -> str:
    """Digest of the code, data and hardware that the control's trial depends on.

    Raises `Refusal` for an override that does not compose. Data that is not there is told by the control.
    """
    config = space.resolve([*agreed.quiet, *agreed.fixed])
    try:
        parts = teachers.key(config, "")
    except Refusal:
        return ""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _seed(agreed: Charter, number: int) -> int:
    """The proposers' seed in a sprint: the same draws again would all be repeats."""
    return agreed.seed + 1_000_003 * (number - 1)


def _restore(store: Store, agreed: Charter, spend: Spend) -> None:
    """Count what an interrupted run of the campaign has trained: its budget is one, however often typed."""
    rows = [row for row in store.trials(sweep=agreed.name) if row.finished is not None]
    results, lost = store.results([row.id for row in rows]), store.lost(agreed.name)
    for row in rows:
        if (row.reason or "").startswith("interrupted"):
            continue
        metrics = results[row.id].metrics if row.id in results else lost.get(row.key, {})
        spend.add((row.finished or row.started) - row.started, metrics.get("train/energy_j", 0.0))


def _closed(client: Client | None) -> AbstractContextManager[Client | None]:
    return client if client is not None else nullcontext()


def _announce(agreed: Charter, lines: Lines, model: bool) -> None:
    lines.say(f"goal       {agreed.goal.text}")
    lines.say(f"objective  {sentence(agreed.goal.objective)}", style="bold")
    if agreed.goal.smallest_effect:
        lines.say(f"effect     at least {100 * agreed.goal.smallest_effect:g} % better than the control")
    lines.say(f"fixed      {' '.join(agreed.fixed)}")
    if agreed.goal.unused:
        lines.say(f"not used   {', '.join(agreed.goal.unused)}", style="yellow")
    if not model:
        lines.say(NONE)


def _runner(config: Mapping[str, Any], agreed: Charter) -> Runner:
    limits, seconds = config["launcher"], config["budget"]["seconds"]
    timeout_s = limits["timeout_s"]
    if timeout_s is None and seconds is not None:
        timeout_s = max(_SHORTEST_S, seconds / 5)
    logs = Path(config["root"]) / "agent" / agreed.name / "logs"
    return Runner(limits["jobs"], limits["threads"], timeout_s, logs=logs)


def _client(config: Mapping[str, Any], store: Store, agreed: Charter) -> Client | None:
    """The language model; every exchange becomes a row of the campaign's newest sprint.

    None with `llm=none`. What an interrupted run has used of the caps stays used.
    """
    if config["llm"].get("model") is None:
        return None

    def record(**exchange: Any) -> None:
        rows = rows_of(store, agreed.name)
        store.add_interaction(sprint_id=rows[max(rows)]["id"] if rows else None, **exchange)

    before = [] if store.is_new else [row["id"] for row in rows_of(store, agreed.name).values()]
    exchanges = [row for one in before for row in store.interactions(sprint_id=one)]
    already = tally(exchanges) if exchanges else None
    return connect(_within(config["llm"], config["budget"]), record=record, store=store, already=already)


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


def _at_hand(
    agreed: Charter,
    space: Space,
    client: Client | None,
    vocabulary: Mapping[str, Any],
    scope: Scope,
    memory: Memory,
) -> dict[str, Any]:
    """What the constructors of proposers may ask for, by name."""

    def check(overrides: list[str]) -> list[str]:
        return space.check(overrides, given=agreed.fixed) or scope.outside(overrides)

    return {
        "vocabulary": vocabulary,
        "fixed": agreed.fixed,
        "seed": agreed.seed,
        "conf": CONF,
        "client": client,
        "check": check,
        "memory": None if memory.mode == "off" else memory,
    }


def _offered(vocabulary: dict[str, Any], metric: str) -> dict[str, Any]:
    """The vocabulary without compressions where the goal asks for nothing that they improve.

    They shrink the final network and lengthen the trial, some by half a minute: a search for a cheaper
    training would pay for them and learn nothing. The gate takes them whatever the goal.
    """
    if not metric.startswith(("size/", "infer/", "compress/", "compute/flops_forward")):
        vocabulary["groups"].pop("compress", None)
        vocabulary["keys"] = {k: v for k, v in vocabulary["keys"].items() if v["group"] != "compress"}
    return vocabulary


def _conclude(store: Store, campaign: str, path: Path, lines: Lines) -> None:
    found = of_campaign(store, campaign)
    for row in found.found:
        insight, recipe = row["insight"], row["facts"].get("recipe")
        lines.say(f"{insight.verdict.word}: {insight.claim}", style="bold")
        if recipe:
            lines.say(f"recipe     {recipe}")
            lines.say(f"repeat     {typed(Path(recipe), CONF)}")
    for note in found.notes():
        if note.startswith(UNWRITTEN):
            lines.say(note, style="yellow")
    if not found.insights:
        lines.say("nothing was confirmed: see the notes of the report", style="bold")
    lines.say(f"report     {path}")
