"""A campaign run to its end: sprint after sprint, until their number, the budget or the target ends it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaign.bench import Run
from research.campaign.budget import Spend
from research.campaign.campaign import CONF, Campaign
from research.campaign.charter import Charter
from research.campaign.conclusions import UNWRITTEN
from research.campaign.recipe import typed
from research.campaign.rows import rows_of
from research.campaign.sprint import Sprint
from research.campaign.steering import ENDED, FILE, stopped
from research.campaign.trials import alone, running, shares, unshared
from research.goal.saying import sentence
from research.llm.client import NONE
from research.metrics import compares
from research.propose.proposer import Proposer, checked, made
from research.report.campaign import papers
from research.report.findings import harness, of_campaign
from research.run import teachers
from research.run.lines import Lines
from research.space.domain import GIVEN
from research.stats.decide import ENOUGH
from research.store.states import OPEN
from research.store.store import Store
from research.types import ProposalFacts, SprintFacts

Propose = Callable[[int, bool], Sequence[Proposer]]
"""the proposers of a sprint by its number, with the model or without"""


def research(campaign: Campaign) -> Path:
    """Run a campaign and return the path of its report: interrupted it goes on, finished it is read.

    Raises `Refusal` for a goal that is not understood, for what `Campaign` refuses to open, and for a control
    that cannot be run.
    """
    campaign = settled(campaign)
    charter = campaign.charter

    def check(overrides: list[str]) -> list[str]:
        gate = campaign.space.check(overrides, given=charter.fixed)
        return gate or campaign.space.swept(overrides) or campaign.scope.outside(overrides)

    at_hand = campaign.at_hand(check)
    checked(campaign.sources, at_hand)

    def propose(number: int, model: bool) -> list[Proposer]:
        if not model and campaign.client is None:
            return []  # a lane without the model stands beside one with it only
        # With the same draws again all would be repeats.
        seed = charter.seed + 1_000_003 * (number - 1)
        return made(campaign.sources, at_hand | {"seed": seed, "client": campaign.client if model else None})

    name = f"campaign {charter.name}"
    shared = shares(campaign, unshared(charter.goal.objective.metrics))
    with (
        running(campaign, charter.name, lease=name if shared else None) as run,
        alone(campaign, name, campaign.folder, campaign.launcher if shared else None),
    ):
        # All that can be refused without it has been: from here on there is a database.
        _announce(charter, campaign.lines, model=campaign.client is not None)
        _restore(campaign.store, charter, campaign.spend)
        path = sprints(campaign, run, propose)
    if campaign.client is not None and (heard := campaign.client.heard.words):
        campaign.lines.say(f"model      {heard}", style="yellow")
    _conclude(campaign.store, charter.name, path, campaign.lines)
    return path


def sprints(campaign: Campaign, run: Run, propose: Propose) -> Path:
    """Run the sprints that are missing and write the campaign's papers; returns its report."""
    for number in range(1, campaign.charter.sprint.count + 1):
        if _sprint(campaign, run, propose, number):
            break
    return papers(campaign.store, campaign.charter.name, campaign.folder)[0]


def _sprint(campaign: Campaign, run: Run, propose: Propose, number: int) -> str | None:
    """Run one sprint unless it is done; why the campaign ends with it, None when it goes on."""
    sprint, store, count = Sprint(campaign, run, number), campaign.store, campaign.charter.sprint.count
    if count > 1:
        done = ", done before" if sprint.done else ""
        campaign.lines.say(f"sprint     {number} of {count}{done}")
    try:
        if sprint.done:
            sprint.run([])
        else:
            sprint.run(propose(number, True), propose(number, False))
    except KeyboardInterrupt:
        papers(store, campaign.charter.name, campaign.folder)
        raise
    row = rows_of(store, campaign.charter.name)[number]
    known = SprintFacts.of(row).ended
    if known and (known != ENDED or stopped(campaign.folder / FILE)):
        return known
    # What a person has ended goes on when the word is taken back, whatever that sprint came to.
    ended = _over(campaign, sprint, number) if known is None or number >= count else None
    if ended != known:
        store.set_sprint(sprint.id, "done", {**row["facts"], "ended": ended})
    return ended


def _over(campaign: Campaign, sprint: Sprint, number: int) -> str | None:
    """Why no sprint comes after this one."""
    charter, spend, insights = campaign.charter, campaign.spend, campaign.store.insights(sprint_id=sprint.id)
    held = [row["insight"].verdict for row in insights if row["word"] == "supported"]
    if any(compares(verdict, charter.goal.objective.metric) for verdict in held):
        return "the target is reached: a finding was confirmed"
    if number >= charter.sprint.count:
        return "all its sprints are done"
    if stopped(campaign.folder / FILE):
        return ENDED
    worthless = SprintFacts.of(rows_of(campaign.store, charter.name)[number]).worthless
    if worthless and not insights:  # else the next one asks otherwise, or of others
        return worthless
    rows = campaign.store.proposals(sprint_id=sprint.id)
    own = [row for row in rows if not harness(row) and ProposalFacts.of(row).carried is None]
    if not own and not insights:
        # The next one could do no more.
        return "nothing that is left fits into the budget"
    # A screened pair, promoted and confirmed on as few seeds as can decide anything.
    short = spend.short(spend.usual(2 + len(charter.promote.seeds) + ENOUGH))
    return None if short is None else f"the budget is spent: {short}"


def settled(campaign: Campaign) -> Campaign:
    """The campaign on this code, data and hardware, its model within its budget, ready to search.

    Raises `Refusal` for an override that does not compose.
    """
    charter = campaign.charter
    campaign.spend  # noqa: B018  its clock begins
    setting = charter.model_copy(update={"setting": _setting(campaign)})
    held = campaign.under(setting, domain=campaign.domain, bounded=True)
    if held.domain is None:
        held.vocabulary = _offered(held.vocabulary, charter.goal.objective.metric)
    held.team, held.library  # noqa: B018  what they refuse is said before there is a database
    return held


def _setting(campaign: Campaign) -> str:
    """Digest of the code, data and hardware that the control's trial depends on; '' where data is missing."""
    config = campaign.space.resolve([*campaign.charter.quiet, *campaign.charter.fixed])
    try:
        parts = teachers.key(config, "")
    except Refusal:
        return ""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _offered(vocabulary: dict[str, Any], metric: str) -> dict[str, Any]:
    """The vocabulary without compressions where the goal asks for nothing that they improve.

    They shrink the final network and lengthen the trial, so that a search for a cheaper training pays for
    them and learns nothing. The gate takes them whatever the goal.
    """
    if not metric.startswith(("size/", "infer/", "compress/", "compute/flops_forward")):
        vocabulary["groups"].pop("compress", None)
        vocabulary["keys"] = {k: v for k, v in vocabulary["keys"].items() if v["group"] != "compress"}
    return vocabulary


def _restore(store: Store, charter: Charter, spend: Spend) -> None:
    """Count what an interrupted run of the campaign has trained: its budget is one, however often typed."""
    joules = store.joules(charter.name)
    for row in store.trials(sweep=charter.name):
        ended = row.status not in OPEN and not (row.reason or "").startswith("interrupted")
        seconds = (row.finished or row.started) - row.started if ended else None
        spend.pay(row.key, seconds, joules.get(row.key, 0.0))


def _announce(charter: Charter, lines: Lines, model: bool) -> None:
    lines.say(f"goal       {charter.goal.text}")
    lines.say(f"objective  {sentence(charter.goal)}", style="bold")
    for note in charter.notes:
        lines.say(f"bound      {note}", style="yellow")
    lines.say(f"fixed      {' '.join(charter.fixed)}")
    if charter.team.get("domain") == GIVEN:
        lines.say(
            "given      nothing is trained, and compress alone is searched (base=[...,budget=default] trains)"
        )
    if not model:
        lines.say(NONE)


def _conclude(store: Store, campaign: str, path: Path, lines: Lines) -> None:
    findings = of_campaign(store, campaign)
    for row in findings.found:
        insight, recipe = row["insight"], row["facts"].get("recipe")
        lines.say(f"{insight.verdict.word}: {insight.claim}", style="bold")
        if recipe:
            lines.say(f"recipe     {recipe}")
            lines.say(f"repeat     {typed(Path(recipe), CONF)}")
    for note in findings.notes():
        if note.startswith(UNWRITTEN):
            lines.say(note, style="yellow")
    if not findings.insights:
        lines.say("nothing was confirmed: see the notes of the report", style="bold")
    lines.say(f"report     {path}")
