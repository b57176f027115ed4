"""`task=report`: the reports of a sprint, a campaign or a sweep, written again from their rows."""

from pathlib import Path
from typing import TYPE_CHECKING, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.tasks.answer import Answer, Reference, reference
from research.tasks.show import row_of

if TYPE_CHECKING:
    from research.store.store import Store

_CAMPAIGN = "campaign"


@final
class Reported(Answer):
    """What was written, report.md first; `url` is where a Weights & Biases Report was saved, if it was."""

    of: str
    paths: tuple[Path, ...]
    url: str | None = None
    note: str | None = None

    def text(self) -> str:
        """One line for each file."""
        lines = [f"report     {path}" for path in self.paths]
        lines += [f"online     {self.url}"] if self.url else []
        return "\n".join([*lines, *([self.note] if self.note else [])])


def report(campaign: Campaign, id: str | None, sweep: str | None, to: str | None, root: str) -> Reported:
    """Write it. Raises `Refusal` for what is not in the database, or a folder that cannot be written."""
    if (sweep is None) == (id is None):
        raise Refusal("task=report takes one of: id=sprint:1, id=campaign, id=campaign:NAME, sweep=NAME.")
    if to not in (None, "wandb"):
        raise Refusal(f"to={to} is unknown: leave it out for files, or to=wandb.")
    if to and str(id).partition(":")[0] != _CAMPAIGN:
        raise Refusal("to=wandb takes a campaign: id=campaign for the newest, or id=campaign:NAME.")
    store, runs = campaign.known, Path(root)
    if sweep is not None:
        from research.report.sweep import write as of_sweep

        return Reported(of=f"sweep:{sweep}", paths=(of_sweep(store, sweep, _folder(runs, sweep)),))
    if str(id).partition(":")[0] == _CAMPAIGN:
        name = campaign_named(store, str(id))
        if to == "wandb":
            return _online(store, name, runs / "agent" / name)
        from research.report.campaign import papers

        return Reported(of=f"campaign:{name}", paths=tuple(papers(store, name, runs / "agent" / name)))
    return _of_sprint(store, reference(id, "id", ("sprint",)))


def _folder(root: Path, sweep: str) -> Path:
    if "/" in sweep or sweep.startswith("."):
        raise Refusal(f"sweep={sweep[:60]!a} is no name of a sweep: it is that of a folder in runs/sweeps.")
    return root / "sweeps" / sweep


def campaign_named(store: "Store", asked: str) -> str:
    """The campaign by its name, or the newest one."""
    names = [str(row["facts"].get("campaign") or "") for row in store.sprints() if "charter" in row["facts"]]
    wanted = asked.partition(":")[2]
    if not names or (wanted and wanted not in names):
        said = (
            f"There is no campaign {wanted[:60]!a} in this database" if wanted else "There is no campaign yet"
        )
        raise Refusal(f"{said}: task=status lists the sprints, task=show id=sprint:1 their campaign.")
    return wanted or names[-1]


def _of_sprint(store: "Store", wanted: Reference) -> Reported:
    row = row_of(store, wanted)
    if "charter" not in row["facts"]:
        from research.campaign.study import written_again

        return Reported(of=str(wanted), paths=(written_again(store, row),))
    from research.report.campaign import write

    return Reported(of=str(wanted), paths=(write(store, wanted.number, Path(row["folder"])),))


def _online(store: "Store", name: str, folder: Path) -> Reported:
    """A Weights & Biases Report: its specification as a file, and its address where somebody is logged in."""
    from research.report import wandb
    from research.report.findings import of_campaign

    saved = wandb.write(store, name, folder)
    url = None if isinstance(saved, Path) else saved
    said = [wandb.missing(of_campaign(store, name)), wandb.NEXT if url is None else None]
    note = "\n".join(filter(None, said)) or None
    return Reported(of=f"campaign:{name}", paths=(folder / wandb.FILE,), url=url, note=note)
