"""What a campaign works with, from its configuration: team, memory, literature, where recipes go."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from research.campaigns.charter import Charter
from research.campaigns.council import Council
from research.campaigns.equipment import Equipment
from research.domains.domain import Domain
from research.domains.scope import Scope
from research.literature import library
from research.literature.library import Library
from research.literature.source import Source
from research.llm import Client
from research.roles import roles
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
) -> Equipment:
    """Who has a say beside the charter.

    Raises `Refusal` for a file that is no role, a role's model that cannot be asked, and a library that is
    not there.
    """
    read = library.opened(config.get("literature"))
    council = None if client is None else _council(config, agreed, conf, client, vocabulary, read)
    folder = config.get("discovered")
    return Equipment(
        council=council,
        outside=Scope(field).outside,
        discovered=None if folder is None else Path(str(folder)),
        told=lambda: {} if read is None else {"literature": read.facts()},
    )


def _council(
    config: Mapping[str, Any],
    agreed: Charter,
    conf: Path,
    client: Client,
    vocabulary: Mapping[str, Any],
    read: Library | None,
) -> Council:
    team = Team(roles(conf), client)
    for model in {role.model for role in team.roles if role.model is not None}:
        client.admit(model)
    field, focus = agreed.team.get("domain"), agreed.team.get("focus")
    return Council(
        team=team,
        vocabulary=dict(vocabulary),
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
