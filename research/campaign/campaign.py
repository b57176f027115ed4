"""A campaign: a goal and all that is fixed for it, with the parts that a task needs, opened on demand."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

from pydantic import ValidationError

from refusal import Refusal
from research.compose.trees import parsed, text_of
from research.space.domain import Domain, Scope, taken_up
from research.types import ProposalFacts, SprintFacts

if TYPE_CHECKING:
    from research.campaign.bench import Bench, Run
    from research.campaign.budget import Spend
    from research.campaign.charter import Charter
    from research.campaign.discuss import Recall
    from research.literature.library import Library
    from research.llm.client import Client
    from research.memory.memory import Memory
    from research.run.lines import Lines
    from research.space.gate import Space
    from research.store.store import Store
    from research.team.review import Thresholds
    from research.team.roles import Team
    from research.types import Objective

CONF = Path(__file__).resolve().parents[2] / "conf"
_SHARED = ("discussed", "lines", "space", "store", "spend", "memory", "library", "client", "team")
"""parts that do not depend on the charter"""


@final
class Campaign:
    """A charter opened; use it as a context manager. Each part is opened when it is first asked for."""

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        conf: Path = CONF,
        run: "Run | None" = None,
        lines: "Lines | None" = None,
        **parts: Any,
    ) -> None:
        """`config` is a resolved `conf/agent.yaml`, `run` stands in for the processes of trials, `parts`
        are attributes that are made already, as `charter` or `store`; they are not closed here.
        """
        self.config, self.conf, self.given_run = taken_up(config, conf), conf, run
        if not isinstance(config["root"], str) or not config["root"]:
            raise Refusal("root is a folder: write root=runs.")
        self.root = Path(config["root"])
        self.discovered = None if config.get("discovered") is None else Path(str(config["discovered"]))
        """the folder that recipes of confirmed discoveries are written to; None for none"""
        self.discussed, self.bounded = 4, False
        """proposals that a discussion aims at; whether the model's questions must fit into the budget"""
        self._closing, self._given = ExitStack(), frozenset(parts)
        self.__dict__ |= parts if lines is None else {"lines": lines, **parts}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._closing.close()

    def under(self, charter: "Charter", **parts: Any) -> "Campaign":
        """The same with another charter, and `parts` in place of its own; what is open stays open."""
        shared = {name: self.__dict__[name] for name in _SHARED if name in self.__dict__}
        given = shared | {"charter": charter, **parts}
        other = Campaign(self.config, conf=self.conf, run=self.given_run, **given)
        other._closing = self._closing
        return other

    def of(self, row: Mapping[str, Any]) -> "Campaign":
        """The same under the charter of a proposal. Raises `Refusal` for one that another version kept."""
        from research.campaign.charter import Charter

        own = {sprint["id"]: SprintFacts.of(sprint).charter for sprint in self.store.sprints()}
        kept = ProposalFacts.of(row).charter or own.get(row["sprint_id"])
        if not kept:
            return self
        try:
            return self.under(Charter.model_validate(kept))
        except ValidationError:
            other = f"proposal {row['id']} was queued by another version of joulelab"
            raise Refusal(f"{other}: suggest it again.") from None

    @cached_property
    def lines(self) -> "Lines":
        """Where progress is told: stdout, or stderr where the answer is a JSON document."""
        from rich.console import Console

        from research.run.lines import Lines

        return Lines(Console(stderr=bool(self.config["json"]), highlight=False, soft_wrap=True))

    @cached_property
    def space(self) -> "Space":
        """The search space of the configuration folder."""
        from research.space.gate import Space

        return Space(self.conf, self.conf / "space.yaml", own=self.config.get("config_dir"))

    @cached_property
    def store(self) -> "Store":
        """The database, which its first verb makes when it is not there."""
        from research.store.store import Store

        return self._closing.enter_context(closing(Store(self.config["store"]["url"], late=True)))

    @property
    def known(self) -> "Store":
        """The database for a task that only reads. Raises `Refusal` when there is none yet."""
        if not self.exists:
            missing = f"There is no database at {self.address} yet"
            raise Refusal(f"{missing}: run something first, or correct store.url.")
        return self.store

    @cached_property
    def exists(self) -> bool:
        """Whether there is a database to read; a server is taken to be there until it is asked."""
        from research.store.address import is_there

        return is_there(self.config["store"]["url"])

    @property
    def address(self) -> str:
        """The database's URL without its password."""
        from research.store.address import shown

        return shown(self.config["store"]["url"])

    @property
    def harness(self) -> dict[str, Any]:
        """Where each trial keeps its row and its files."""
        return {"store": self.config["store"], "root": self.config["root"]}

    @cached_property
    def usual(self) -> dict[str, Any]:
        """The keys of a campaign by themselves."""
        return parsed(text_of(path := self.conf / "part" / "campaign.yaml"), path)

    @property
    def launcher(self) -> dict[str, Any]:
        """How its trials are run: by themselves they have a fifth of the time budget each."""
        from research.campaign.budget import share

        limits = self.config["launcher"]
        return {**limits, "timeout_s": limits["timeout_s"] or share(self.config["budget"]["seconds"])}

    @cached_property
    def asked(self) -> dict[str, Any]:
        """The configuration with what its domain fixes and asks."""
        from research.space.domain import applied

        return applied(self.config, str(self.usual["goal"]))

    @cached_property
    def charter(self) -> "Charter":
        """The goal and all that is fixed. Raises `Refusal` for a goal that is not understood."""
        from research.campaign.model import understood

        return understood(self)

    @cached_property
    def domain(self) -> "Domain | None":
        """The field narrowed to its focus: the configuration's, or that of a charter of before."""
        from research.space.domain import chosen, named

        if "charter" not in self._given:
            return chosen(self.config)
        return named(CONF, self.charter.team.get("domain"), self.charter.team.get("focus"))

    @property
    def scope(self) -> "Scope":
        """What the field may turn, within what the person leaves open."""
        from research.space.domain import Scope

        return Scope(self.domain, self.charter.free)

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """What may be turned: the field's part of the space. Raises `Refusal` where that is nothing."""
        from research.space.vocabulary import narrowed

        return self.scope.narrowed(narrowed(self.space, self.charter.fixed), self.charter.fixed)

    @property
    def folder(self) -> Path:
        """Where its sprints leave their papers."""
        return self.root / "agent" / self.charter.name

    @property
    def objective(self) -> "Objective":
        """As it is screened: on the validation split."""
        from research.metrics import screening_objective

        return screening_objective(self.charter.goal.objective)

    @property
    def thresholds(self) -> "Thresholds":
        """The scores from which proposals are queued and improved, as asked now."""
        from research.team.review import Thresholds

        return Thresholds.model_validate(self.config["review"])

    @cached_property
    def spend(self) -> "Spend":
        """What may be spent, and the clock that counts its seconds. Raises `Refusal` for a budget of zero."""
        from research.campaign.budget import Spend

        return Spend(**{name: self.config["budget"][name] for name in ("trials", "seconds", "joules")})

    @cached_property
    def memory(self) -> "Memory":
        """What earlier campaigns left; one that is off knows nothing."""
        from research.memory.memory import opened

        read = opened(self.config.get("memory"), self.store, inert=self.space.file.inert)
        return self._closing.enter_context(closing(read))

    @cached_property
    def recall(self) -> "Recall":
        """Memory asked for this goal."""
        from research.campaign.discuss import Recall

        return Recall(self.memory, self.charter)

    @cached_property
    def library(self) -> "Library | None":
        """What may be read. Raises `Refusal` for a library that is not there."""
        from research.literature.library import opened

        return opened(self.config.get("literature"))

    @cached_property
    def client(self) -> "Client | None":
        """The language model, None with `llm=none`; every exchange becomes a row of the newest sprint."""
        from research.campaign.model import connected

        settings, budget = self.config["llm"], self.config["budget"] if self.bounded else {}
        made = connected(self, settings, budget) if settings.get("model") is not None else None
        return made and self._closing.enter_context(made)

    @cached_property
    def team(self) -> "Team | None":
        """The roles that the model speaks for; None without one, when stand-ins do all."""
        from research.campaign.model import team

        return None if self.client is None else team(self, self.client)

    @property
    def sources(self) -> dict[str, Any]:
        """Who proposes: name -> what makes it; who has no share of the turns need not be imported."""
        turns = self.charter.shares
        return {k: v for k, v in self.config["proposer"]["sources"].items() if turns.get(k, 0) > 0}

    def at_hand(self, check: Callable[[list[str]], list[str]]) -> dict[str, Any]:
        """What makers of proposers may ask for by name; `check` says what is wrong with overrides."""
        return {
            "vocabulary": self.vocabulary,
            "fixed": self.charter.fixed,
            "seed": self.charter.seed,
            "conf": self.conf,
            "client": self.client,
            "check": check,
            "memory": None if self.memory.mode == "off" else self.memory,
        }

    def bench(self, run: "Run", opened: float | None = None) -> "Bench":
        """What runs the charter's arms, telling each trial in a line; `opened` as there."""
        from research.campaign.bench import Bench

        self.lines.shown = tuple(dict.fromkeys(self.objective.metrics))
        return Bench(
            space=self.space,
            store=self.store,
            run=run,
            spend=self.spend,
            fixed=self.charter.fixed,
            quiet=self.charter.quiet,
            harness=self.harness,
            sweep=self.charter.name,
            lines=self.lines,
            fresh=self.charter.confirm.first_seed,
            watched=self.charter.goal.objective.metrics,
            opened=opened,
            launcher=None if self.given_run else self.launcher,
        )
