"""A team of six for tests: a real HTTP server that answers each role by its prompt, and a lab around it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign_lab import Lab, energy
from research.campaign.budget import Spend
from research.campaign.campaign import Campaign
from research.campaign.charter import Charter, Screen
from research.campaign.run import sprints
from research.campaign.sprint import Sprint
from research.llm import client as llm
from research.propose.model import LlmProposer
from research.propose.proposer import Proposer
from research.report.findings import Findings
from research.team.roles import Team, roles
from scripted_server import Handler, ScriptedServer, answer

CONF = Path(__file__).parents[2] / "conf"
ROLES = ("researcher", "architect", "engineer", "reviewer", "improver", "validator")
Say = Callable[[str, str], str | None]
"""role and prompt -> what is answered; None is what the role says by itself"""

HYPOTHESES = {
    "hypotheses": [
        {"claim": "Fewer steps at a higher rate cost fewer joules.", "because": "Joules grow with steps."},
        {"claim": "A narrower network costs fewer joules.", "because": "Joules grow with width."},
    ]
}
PLAN = {
    "arms": [
        {
            "hypothesis": 1,
            "change": "half the steps, ten times the rate",
            "refuted_by": "train/energy_j not less by 10 %",
            "against": 0,
        },
        {
            "hypothesis": 2,
            "change": "a quarter of the width",
            "refuted_by": "test/accuracy less by 0.01",
            "against": 0,
        },
    ],
}
BUILDS = {
    "builds": [
        {"arm": 1, "overrides": ["budget.steps=120", "optimizer.lr=0.01"]},
        {"arm": 2, "overrides": ["model.width=32"]},
    ]
}
REVISION = {
    "hypothesis": "A somewhat narrower network costs fewer joules.",
    "overrides": ["model.width=40"],
    "refuted_by": "test/accuracy less by 0.01",
    "changed": "width 40 instead of 32, because the accuracy was doubted",
}
WORDING = {"words": "Fewer steps at a higher rate pay.", "cites": [], "next": ["the same on other data"]}


def review(score: float) -> dict[str, Any]:
    facets = dict.fromkeys(("feasibility", "impact", "clarity"), score)
    return {**facets, "reasons": [f"worth {score}"], "risks": ["accuracy"], "chance": 0.4}


def usual(role: str, prompt: str) -> dict[str, Any]:
    """What a sensible team says: the narrow network is doubted once, and improved."""
    doubted = role == "reviewer" and "model.width=32" in prompt.split("the proposal")[1].split("</data>")[0]
    said = {"researcher": HYPOTHESES, "architect": PLAN, "engineer": BUILDS, "improver": REVISION}
    told = {**said, "validator": WORDING, "reviewer": review(2.0 if doubted else 8.0)}
    return told.get(role) or {"hypothesis": "Another width.", "overrides": ["model.width=50"]}


class TeamServer:
    """Answers by role; `asked` are the roles in the order in which they were asked."""

    def __init__(self, say: Say = lambda role, prompt: None) -> None:
        self.say, self.asked, self.prompts = say, list[str](), list[tuple[str, str]]()
        self.http = ScriptedServer(self.step)

    def step(self, handler: Handler, body: dict[str, Any]) -> None:
        system, prompt = (message["content"] for message in body["messages"][:2])
        role = next((one for one in ROLES if f"the {one} of" in system), None)
        role = role or ("reviewer" if "strict reviewer" in system else None)
        role = role or ("improver" if "You improve" in system else None)
        role = role or ("validator" if "You word" in system else "proposer")
        self.asked.append(role)
        self.prompts.append((role, system + prompt))
        said = self.say(role, prompt)
        answer(json.dumps(usual(role, prompt)) if said is None else said)(handler, body)


@contextmanager
def team(lab: Lab, server: TeamServer, charter: Charter, **config: Any) -> Iterator["TeamLab"]:
    """A lab whose model answers from `server`, every exchange a row."""
    settings = {"model": "openai/m", "api_base": server.http.base + "/v1", "backoff_s": 0.01, "retries": 0}

    def record(**row: Any) -> None:
        lab.store.add_interaction(sprint_id=lab.store.sprints()[-1]["id"], **row)

    with server.http:
        client = llm.connect(settings | config, record=record)
        assert client is not None
        with client:
            yield TeamLab(lab, client, charter)


class TeamLab:
    """Runs sprints with the team."""

    def __init__(self, lab: Lab, client: llm.Client, charter: Charter) -> None:
        self.lab, self.client, self.charter = lab, client, charter
        self.team = Team(roles(CONF), client)

    def proposers(self, number: int = 1) -> list[Proposer]:
        check = self.lab.space.check
        model = LlmProposer(self.client, check, self.lab.space.vocabulary())
        return [model, *self.lab.proposers(self.charter)]

    def open(self, spend: Spend | None = None, **more: Any) -> Campaign:
        given = {"client": self.client, "team": self.team, "discussed": 2, **more}
        return self.lab.open(self.charter, spend, **given)

    def sprint(self, number: int = 1, spend: Spend | None = None, **more: Any) -> Sprint:
        return Sprint(self.open(spend, **more), self.lab.run, number)


def series(
    lab: Lab,
    charter: Charter,
    spend: Spend | None = None,
    made: TeamLab | None = None,
    discovered: Path | None = None,
) -> Path:
    """The whole campaign of a charter, with stand-ins unless a team is given; its report."""

    def propose(number: int, model: bool) -> list[Proposer]:
        seeded = charter.model_copy(update={"seed": charter.seed + number - 1})
        return made.proposers(number) if made and model else lab.proposers(seeded)

    campaign = made.open(spend) if made else lab.open(charter, spend, discovered)
    return sprints(campaign, lab.run, propose)


def charter(lab: Lab, **more: Any) -> Charter:
    """A small campaign for fewer joules in which the model has half of the turns."""
    shares = {"llm": 0.5, "random": 0.2, "tpe": 0.3}
    return lab.charter(energy(), **{"screen": Screen(turns=8), "shares": shares, "ladder": None, **more})


def ran(lab: Lab, server: TeamServer, agreed: Charter | None = None, **config: Any) -> Findings:
    """What one sprint with the team has come to."""
    with team(lab, server, agreed or charter(lab), **config) as made:
        sprint = made.sprint()
        sprint.run(made.proposers())
        return Findings(lab.store, sprint.id)
