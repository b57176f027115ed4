"""Which state of a Hugging Face repository a trial's data are of, as its commit."""

import json
import os
from functools import cache
from pathlib import Path

_TIMEOUT_S = 5


@cache
def commit(repository: str, revision: str | None = None) -> str:
    """The commit of a data set that is here already, else of what would be fetched now, else `none`.

    Asked once a process. `revision` is a branch, a tag or a commit; None is the main branch.
    """
    wanted = revision or "main"
    folder = _cache() / f"datasets--{repository.replace('/', '--')}"
    if (folder / "snapshots" / wanted).is_dir():
        return wanted
    try:
        return (folder / "refs" / wanted).read_text().strip()
    except OSError:
        return _asked(repository, wanted)


def _cache() -> Path:
    """Where the hub's client keeps what it fetched, by the variables that it reads itself."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _asked(repository: str, revision: str) -> str:
    import urllib.error
    import urllib.parse
    import urllib.request

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") or not endpoint.startswith("http"):
        return "none"
    name = urllib.parse.quote(revision, safe="")
    try:
        where = f"{endpoint}/api/datasets/{repository}/revision/{name}"
        with urllib.request.urlopen(where, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return str(json.load(answer)["sha"])
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError, KeyError, TypeError):
        return "none"
