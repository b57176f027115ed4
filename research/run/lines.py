"""What a campaign tells while it runs: the objective first, a line for each trial, the verdict last."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, final

from research.metrics import is_energy, quantity
from research.stats.sentences import stopped

if TYPE_CHECKING:
    from rich.console import Console


@final
class Lines:
    """Lines on a terminal; `shown` are the metrics of a trial that its line tells."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False, soft_wrap=True)
        self.shown: tuple[str, ...] = ()
        self.count = 0
        self._failed: tuple[str | None, ...] = ()

    def say(self, text: str, style: str = "") -> None:
        """One line, foreign text included: nothing in it is markup."""
        self._console.print(text, style=style or None, markup=False)

    def trial(
        self,
        overrides: Sequence[str],
        proposer: str,
        seed: int,
        status: str,
        metrics: Mapping[str, float],
        reason: str | None,
    ) -> None:
        """One ended trial; an arm that fails in the same way for another seed is told once."""
        self.count += 1
        failure = (*overrides, reason)
        if reason and failure == self._failed:
            return
        self._failed = failure
        arm = " ".join(overrides) or "control"
        known = " (known)" if status == "known" else ""
        told = "   ".join(self._figure(key, metrics) for key in self.shown if key in metrics)
        won_not = stopped(reason)
        ended = told if metrics else f"stopped: {won_not}" if won_not else f"{status}: {reason}"
        style = "" if metrics else "yellow"
        self.say(f"{self.count:4d}  {proposer:8s}  seed {seed:<4d}  {ended}{known}   {arm}", style)

    def _figure(self, key: str, metrics: Mapping[str, float]) -> str:
        unit = quantity(key, metrics[key])
        return (
            f"{unit} {'training' if key == 'train/energy_j' else key}" if is_energy(key) else f"{key} {unit}"
        )
