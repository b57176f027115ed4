"""A campaign as a Weights & Biases Report: built and validated offline, saved where somebody is logged in.

Its texts are those of report.md, read from the same rows. Its panels show the runs that trials logged there,
found by their ids; building it asks no server, saving it does.
"""

import importlib
import json
import os
import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from refusal import Refusal
from research.compose.override import override
from research.metrics import screening
from research.page import put
from research.report.answer import answer, asked, repeat
from research.report.arms import arms_table
from research.report.cost import cost
from research.report.findings import Findings, of_campaign
from research.report.markdown import readable
from research.report.pictures import costs_among, score_among
from research.stats.arms import Arm
from research.store.store import Store

FILE = "wandb_report.json"
NEXT = "Nobody is logged in to Weights & Biases: type wandb login, then the same command, which saves it."
_ARMS = 6
_AXES = 8
_AGAIN = ("quiet=[logger=wandb]", "store.url=sqlite:///with_wandb.db")


def write(
    store: Store, campaign: str, folder: Path, project: str = "joulelab", entity: str = ""
) -> Path | str:
    """Save the campaign's report and return its address; without a login write its specification instead.

    The specification goes to `wandb_report.json` in either case. Raises `Refusal` when the database has no
    such campaign, the package is missing, or the server takes neither the key nor the report.
    """
    try:
        found = of_campaign(store, campaign)
    except KeyError:
        raise Refusal(
            f"The database has no campaign {campaign[:80]!a}: python agent.py task=status."
        ) from None
    path = put(specification(built(found, project, entity)), folder, FILE)
    return _saved(found, project, entity) if logged_in() else path


def built(found: Findings, project: str, entity: str = "") -> Any:
    """The report of these findings; without an entity it names no owner and asks no server."""
    wr = _package()
    blocks = [
        wr.MarkdownBlock(text="\n".join(answer(found)).strip()),
        wr.H2(text="What was asked"),
        wr.MarkdownBlock(text="\n".join(asked(found))),
        wr.H2(text="Runs"),
        wr.P(text=missing(found) or "Every trial logged a run; the panels show those that were uploaded."),
        wr.PanelGrid(runsets=_runsets(found, project, entity), panels=_panels(found)),
        *_tables(found),
        wr.H2(text="What the search cost"),
        wr.MarkdownBlock(text="\n".join(cost(found))),
        wr.H2(text="Repeat it"),
        wr.MarkdownBlock(text="\n".join(repeat(found.fixed, found.arms("confirmed")))),
    ]
    title = readable(found.sprint["goal"], 128)
    return wr.Report(project=project, entity=entity, title=title, blocks=blocks, width="fluid")


def specification(report: Any) -> str:
    """The report as the JSON that the server would be given, checked against the package's own schema."""
    schema = _package("reports.v2.internal").ReportViewspec
    # The package has no public way to write a report to a file.
    text: str = report._to_model().model_dump_json(by_alias=True, exclude_none=True)
    given = json.loads(text)
    schema.model_validate({**given, "spec": json.dumps(given["spec"])})
    return json.dumps(given, indent=1) + "\n"


def logged_in() -> bool:
    """Whether Weights & Biases finds a key or a token, without asking the network or a person."""
    with _quiet():
        import wandb
        from wandb.sdk.lib import wbauth

        settings = wandb.Settings()
        settings.update_from_env_vars(dict(os.environ))
    if settings.mode in ("offline", "disabled", "dryrun"):
        return False
    if settings.api_key or settings.identity_token_file:
        return True
    try:
        return wbauth.read_netrc_auth(host=settings.base_url) is not None
    except wandb.errors.AuthenticationError as error:
        raise Refusal(f"The key of Weights & Biases is none ({error}): type wandb login --relogin.") from None


def _saved(found: Findings, project: str, entity: str) -> str:
    """Save it under the entity, or the one of whoever is logged in; its address."""
    import wandb
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    try:
        owner = entity or str(wandb.Api().default_entity)
        return quote(str(built(found, project, owner).save().url), safe=":/")
    except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise Refusal(f"Weights & Biases did not take the report: {said} ({FILE} has it).") from error


def _runsets(found: Findings, project: str, entity: str) -> list[Any]:
    """A set for each confirmed arm, then all trials of the campaign."""
    wr, expr = _package(), _package("expr")
    given: dict[str, Any] = {"project": project, "entity": entity}
    sets = [
        wr.Runset(**given, name=_label(arm), filters=expr.And(expr.Metric("ID").isin(_ids(arm))))
        for arm in found.arms("confirmed")[:_ARMS]
    ]
    group = expr.And(expr.Metric("Group") == str(found.facts["campaign"]))
    return [*sets, wr.Runset(**given, name="all trials of the campaign", filters=group)]


def _panels(found: Findings) -> list[Any]:
    """Score against each cost, curves against joules and steps, and how the turned keys lead to both."""
    wr, arms = _package(), found.arms("confirmed") or found.arms("screened")
    score = score_among(found.asked, arms)
    if score is None:
        return [wr.RunComparer(layout=wr.Layout(0, 0, 24, 10))]
    costs = costs_among([found.objective.metric], arms) or ["train/energy_j"]
    seen = [wr.SummaryMetric(one) for one in [*costs[:2], score]]
    scatter = [
        wr.ScatterPlot(title=f"{score} against {cost}", x=x, y=seen[-1], log_x=True)
        for cost, x in zip(costs[:2], seen, strict=False)
    ]
    curves = [
        wr.LinePlot(title=f"{screening(score)} by {axis}", x=axis, y=[screening(score)])
        for axis in ("joule", "trainer/global_step")
    ]
    columns = [*(wr.Config(key) for key in _turned(found)), *seen]
    axes = [wr.ParallelCoordinatesPlotColumn(metric=one) for one in columns]
    panels = [*scatter, *curves, wr.ParallelCoordinatesPlot(title="What was turned", columns=axes)]
    for at, panel in enumerate(panels):
        last = at == len(panels) - 1
        panel.layout = wr.Layout(x=0 if last else 12 * (at % 2), y=8 * (at // 2), w=24 if last else 12, h=8)
    return panels


def _tables(found: Findings) -> list[Any]:
    wr, arms = _package(), found.arms("confirmed")
    if not arms:
        return []
    lines = [*found.names.table(), "", *arms_table(arms, found.columns("confirmed"), found.names)]
    return [wr.H2(text="Confirmed on fresh seeds, test split"), wr.MarkdownBlock(text="\n".join(lines))]


def _turned(found: Findings) -> list[str]:
    """Keys that the arms turned, as the runs' configs name them: of an option the target that it chose."""
    keys = [override(text).key for arm in found.arms("screened") for text in arm.overrides]
    usual = sorted(dict.fromkeys(keys), key=lambda key: -keys.count(key))[:_AXES]
    return [key if "." in key else f"{key}._target_" for key in usual]


def missing(found: Findings) -> str | None:
    """Which trials logged no run, and the command that logs them; None where all have.

    A campaign's trials log to CSV files unless it is told otherwise, and known ones are not run again.
    """
    arms = [*found.arms("confirmed"), *found.arms("screened")]
    trials = {trial.id: trial for arm in arms for trial in arm.rows}
    without = [number for number, one in trials.items() if "wandb" not in (one.config.get("logger") or {})]
    if not without:
        return None
    line = shlex.join(["python", "agent.py", f"goal={found.sprint['goal']}", *_AGAIN])
    some = f"{len(without)} of its {len(trials)} trials ({_some(without)}) logged"
    lack = "the panels lack them"
    if len(without) == len(trials):
        some, lack = f"None of its {len(trials)} trials logged", "the panels are empty"
    return (
        f"{some} a run of Weights & Biases, so {lack}: {readable(line, 300)}, with what else was typed, "
        "trains them anew in a database of its own and logs them."
    )


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:_ARMS]))
    return f"{shown} and {len(numbers) - _ARMS} more" if len(numbers) > _ARMS else shown


def _ids(arm: Arm) -> Sequence[str]:
    """Ids of the arm's runs: a trial's run is named as its folder is."""
    return [Path(trial.folder).name for trial in arm.rows if trial.folder]


def _label(arm: Arm) -> str:
    own = readable(" ".join(arm.overrides), 120)
    return f"control {own}".strip() if arm.control else own or "defaults"


def _package(part: str = "reports.v2") -> Any:
    """A module of wandb-workspaces. Raises `Refusal` when it is not installed."""
    try:
        with _quiet():
            return importlib.import_module(f"wandb_workspaces.{part}")
    except ModuleNotFoundError:
        raise Refusal("to=wandb needs the package wandb-workspaces: pip install wandb-workspaces.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """The package warns of its own use of pydantic, which is nothing that a user could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
