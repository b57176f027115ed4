"""What a task works with: the resolved configuration, and the parts that are opened when first asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

from refusal import Refusal
from research.compose.yaml import parsed, text_of
from research.space.domain import Domain, applied, chosen

if TYPE_CHECKING:
    from research.campaign.bench import Run
    from research.run.lines import Lines
    from research.space.gate import Space
    from research.store.store import Store

CONF = Path(__file__).resolve().parents[2] / "conf"


@final
class Desk:
    """Use it as a context manager: what it opened is closed at the end.

    `run` stands in for the processes that trials run in, `lines` for the terminal.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        conf: Path = CONF,
        run: "Run | None" = None,
        lines: "Lines | None" = None,
    ) -> None:
        self.config, self.conf, self.given_run, self._lines = config, conf, run, lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        if "store" in self.__dict__:
            self.store.close()

    @cached_property
    def lines(self) -> "Lines":
        """Where progress is told: stdout, or stderr where the answer is a JSON document."""
        if self._lines is not None:
            return self._lines
        from rich.console import Console

        from research.run.lines import Lines

        return Lines(Console(stderr=bool(self.config["json"]), highlight=False, soft_wrap=True))

    @cached_property
    def space(self) -> "Space":
        """The search space of the configuration folder."""
        from research.space.gate import Space

        return Space(self.conf, self.conf / "space.yaml")

    @cached_property
    def store(self) -> "Store":
        """The database, which its first verb makes when it is not there."""
        from research.store.store import Store

        return Store(self.config["store"]["url"], late=True)

    @property
    def known(self) -> "Store":
        """The database for a task that only reads. Raises `Refusal` when there is none yet."""
        if not self.exists:
            raise Refusal(
                f"There is no database at {self.address} yet: run something first, or correct store.url."
            )
        return self.store

    @cached_property
    def exists(self) -> bool:
        """Whether there is a database to read; a server is taken to be there until it is asked."""
        from research.store.connection import is_there

        return is_there(self.config["store"]["url"])

    @property
    def address(self) -> str:
        """The database's URL without its password."""
        from research.store.connection import shown

        return shown(self.config["store"]["url"])

    @cached_property
    def domain(self) -> Domain | None:
        """The field that was chosen, narrowed to its focus."""
        return chosen(self.config)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """The configuration with what its domain fixes and asks."""
        return applied(self.config, str(self.usual["goal"]))

    @cached_property
    def usual(self) -> dict[str, Any]:
        """The keys of a campaign by themselves."""
        path = self.conf / "part" / "campaign.yaml"
        return parsed(text_of(path), path)

    @property
    def harness(self) -> dict[str, Any]:
        """Where each trial keeps its row and its files."""
        return {"store": self.config["store"], "root": self.config["root"]}

    @contextmanager
    def running(self, name: str, *, alone: bool = False, threads: int | None = None) -> Iterator["Run"]:
        """Processes that run trials, a fifth of the time budget for each; their logs under `name`."""
        if self.given_run is not None:
            yield self.given_run
            return
        from research.run.runner import Runner

        limits, seconds = self.config["launcher"], self.config["budget"]["seconds"]
        longest = limits["timeout_s"] or (None if seconds is None else max(60.0, seconds / 5))
        logs = Path(self.config["root"]) / "agent" / name / "logs"
        with Runner(
            1 if alone else limits["jobs"], threads or limits["threads"], longest, logs=logs
        ) as runner:
            yield runner.run
