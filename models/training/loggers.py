"""Where learning curves go besides the database: CSV and Weights & Biases, through Lightning's loggers."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from refusal import Refusal

_ONLINE = ("online", "run", "shared")
_KNOCK_S, _INIT_S, _FINISH_S = 3.0, 5.0, 45.0
"""seconds for a first answer of the server, for opening a run there, and for the rest of the upload: less
than the minute after which a process that only waits is taken to hang"""


@final
@dataclass(frozen=True)
class Run:
    """What a logger may know of the trial; `config` is redacted before it gets here."""

    folder: Path
    id: str
    name: str
    group: str | None
    tags: tuple[str, ...]
    config: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    """what its loggers have to say"""


def csv(run: Run) -> CSVLogger:
    """Log to `<folder>/csv-N/metrics.csv`; a resumed trial opens the next N and keeps what was there."""
    attempt = len(list(run.folder.glob("csv-*")))
    return CSVLogger(str(run.folder), name="", version=f"csv-{attempt}")


def logged_in() -> bool:
    """Whether Weights & Biases has a key, from the environment or ~/.netrc, without asking the network.

    Its own lookup is asked: the address that a key is kept under has changed from version to version.
    """
    import wandb as sdk
    from wandb.sdk.lib import wbauth

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL") or sdk.Settings().base_url
    try:
        return wbauth.read_netrc_auth(host=host) is not None
    except sdk.errors.AuthenticationError:
        return False


def reached(host: str) -> str | None:
    """Why nobody answers at the address of a server, None where somebody does; 3 s at most.

    Behind a proxy only the proxy can tell, so nothing is asked.
    """
    parsed = urlsplit(host)
    if not parsed.hostname or (parsed.scheme in getproxies() and not proxy_bypass(parsed.hostname)):
        return None
    try:
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        socket.create_connection((parsed.hostname, port), timeout=_KNOCK_S).close()
    except OSError as error:
        return f"{parsed.hostname}: {error.strerror or error}"
    return None


def wandb(run: Run, project: str, entity: str | None) -> WandbLogger:
    """Open one Weights & Biases run for the trial: uploaded when logged in, else kept offline in the folder.

    Where its server cannot be reached, or does not take the key, the run is kept offline too, within ten
    seconds and with a note: a trial's numbers do not depend on somebody else's server.

    Raises:
        Refusal: an environment variable of Weights & Biases that it cannot use.
    """
    # What it has to say is said in a note.
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb as sdk

    try:
        mode = os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
        if mode in _ONLINE:
            why = reached(sdk.Settings().base_url) or _opened(run, project, entity, mode)
            if isinstance(why, WandbLogger):
                return why
            run.notes.append(f"Weights & Biases was not reached ({why}), so the run was kept offline")
            mode = "offline"
        opened = _opened(run, project, entity, mode)
    except ValueError as error:  # pydantic's, of a setting from the environment
        raise Refusal(
            f"Weights & Biases cannot be used ({_brief(error)}): correct its WANDB_ variables, or choose "
            "logger=csv."
        ) from error
    if isinstance(opened, str):
        raise Refusal(f"Weights & Biases cannot be used ({opened}): choose logger=csv.")
    return opened


def _opened(run: Run, project: str, entity: str | None, mode: Any) -> WandbLogger | str:
    """The logger of one open run, or why there is none."""
    import wandb as sdk

    settings: dict[str, Any] = {"silent": True, "console": "off", "disable_git": True, "save_code": False}
    # Its system monitor would be charged to the trial's joules.
    settings |= {"x_disable_stats": True, "init_timeout": _INIT_S}
    if "finish_timeout" in sdk.Settings.model_fields:
        settings["finish_timeout"] = _FINISH_S
    try:
        # Opened here and not by Lightning, whose own `wandb.init` warns about a setting that it passes.
        opened = sdk.init(
            project=project,
            entity=entity,
            name=run.name,
            id=run.id,
            resume="allow",
            group=run.group,
            tags=list(run.tags),
            config=run.config,
            dir=str(run.folder),
            mode=mode,
            settings=sdk.Settings(**settings),
        )
    except sdk.errors.Error as error:
        return _brief(error)
    opened.define_metric("trainer/global_step")
    for key in ("train/*", "val/*", "second", "cpu_second", "joule"):
        opened.define_metric(key, step_metric="trainer/global_step", summary="last")
    return WandbLogger(experiment=opened, save_dir=str(run.folder))


def _brief(error: Exception) -> str:
    """What an error says, in one line."""
    details = getattr(error, "errors", None)
    said = f"{details()[0]['loc'][0]}: {details()[0]['msg']}" if details is not None else str(error)
    return " ".join(said.split())[:200].rstrip(".")


def finish(
    loggers: list[Logger], metrics: Mapping[str, float], facts: Mapping[str, Any], exit_code: int
) -> list[str]:
    """Write the summary and close every run with the trial's exit code, also after a failure.

    Without `wandb.finish` the trials of one process would merge into one run. What fails on the way to
    somebody else's server is a note: the numbers are here.
    """
    notes = []
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            logger.finalize("success" if exit_code == 0 else "failed")
            continue
        try:
            logger.experiment.summary.update({**metrics, "energy/method": facts.get("energy_method")})
            logger.experiment.finish(exit_code=exit_code)
        except Exception as error:
            notes.append(f"Weights & Biases did not take the end of the run ({_brief(error)})")
    return notes
