"""What a campaign works with, from its configuration: team, memory, literature, where recipes go."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from research.campaign.charter import Charter
from research.campaign.council import Council
from research.campaign.equipment import Equipment
from research.campaign.recall import Recall
from research.literature import library
from research.literature.library import Library, Source
from research.llm.client import Client
from research.memory.memory import Memory
from research.space.domain import Domain
from research.space.scope import Scope
from research.team.roles import roles
from research.team.team import Team

_SOURCES = 6
"""works that a discussion is shown"""


def equipped(
    config: Mapping[str, Any],
    agreed: Charter,
    conf: Path,
    client: Client | None,
    vocabulary: Mapping[str, Any],
    field: Domain | None,
    memory: Memory,
) -> Equipment:
    """Who has a say beside the charter.

    Raises `Refusal` for a file that is no role, a role's model that cannot be asked, and a library that is
    not there.
    """
    read = library.opened(config.get("literature"))
    recall = Recall(memory, agreed)
    council = None if client is None else _council(agreed, conf, client, vocabulary, read, recall)
    folder = config.get("discovered")
    return Equipment(
        council=council,
        doubted=recall.doubted,
        outside=Scope(field).outside,
        discovered=None if folder is None else Path(str(folder)),
        predicted=memory.counts,
        told=lambda: {
            "memory": memory.facts(),
            **({} if read is None else {"literature": read.facts()}),
        },
    )


def _council(
    agreed: Charter,
    conf: Path,
    client: Client,
    vocabulary: Mapping[str, Any],
    read: Library | None,
    recall: Recall,
) -> Council:
    team = Team(roles(conf), client)
    for model in {role.model for role in team.roles if role.model is not None}:
        client.admit(model)
    field, focus = agreed.team.get("domain"), agreed.team.get("focus")
    return Council(
        team=team,
        vocabulary=dict(vocabulary),
        lessons=recall.lessons,
        recalled=recall.ids,
        sources=_sources(agreed, read),
        domain=field or "optimization",
        focus=focus or "",
    )


def _sources(agreed: Charter, read: Library | None) -> Callable[[], tuple[Source, ...]]:
    """What the literature says to the goal, looked up when a discussion begins."""
    if read is None:
        return lambda: ()
    query = " ".join([agreed.goal.text, agreed.team.get("domain", ""), agreed.team.get("focus", "")])
    return lambda: read.find(query, _SOURCES)
