"""`task=doctor`: what is installed and reachable here; names of keys only, never their values."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, final
from urllib.parse import urlparse

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.compose.trees import parsed, text_of
from research.store.backup import complaints
from research.tasks.answer import Answer, pairs

PACKAGES = (
    *("torch", "lightning", "hydra-core", "optuna", "scipy", "scikit-learn", "sqlalchemy", "pydantic"),
    *("litellm", "ecologits", "codecarbon", "torchao", "torch-pruning", "pytorch-optimizer", "wandb"),
    *("wandb-workspaces", "cmaes", "arxiv", "bibtexparser", "pyarrow", "psycopg", "datasets"),
)
_ROOT = Path(__file__).resolve().parents[2]
_NETWORK_S = 1.5
_PROBE_S = 30.0
_UNKNOWN = {"cpu": "unknown", "ram": "unknown"}
_HOSTS = ("pypi.org:443", "api.wandb.ai:443", "export.arxiv.org:443")
# In a process of its own: nothing under research/ touches what measures tensors.
_PROBE = """
import json
import time
from models.energy.counter import Unreadable
from models.energy.disturbance import Watch, disturbed
from models.energy.nvml import Nvml
from models.energy.sources import open_counters
from research.run import machine
counters, missing = open_counters("cpu")
energy = {name: counter.method for counter in counters for name in counter.components}
rest = {}
for cores in sorted({1, machine.cores()}):
    with machine.busy(cores, 30.0) as pids:
        watch, begun = Watch(), time.perf_counter()
        before = watch.read(pids)
        time.sleep(0.5)
        after, seconds = watch.read(pids), time.perf_counter() - begun
    passed = {name: after[name] - before.get(name, 0.0) for name in after}
    rest[str(cores)] = disturbed(passed | {"cpu": passed.get("ran", 0.0), "seconds": seconds})
import pynvml
try:
    pynvml.nvmlInit()
    for place in range(pynvml.nvmlDeviceGetCount()):
        energy["gpu"] = "not measured"
        Nvml(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(place)))
        energy["gpu"] = "nvml"
except (Unreadable, pynvml.NVMLError):
    pass
basis = " + ".join(counter.basis for counter in counters)
print(json.dumps({"energy": energy, "basis": basis, "rest": rest}))
"""


@final
class Examined(Answer):
    """The machine, as far as this lab needs it."""

    python: str
    machine: dict[str, Any]
    packages: dict[str, str | None]
    """name -> version; None is not installed"""
    keys: dict[str, bool]
    """environment variable -> whether it holds something"""
    gpu: str
    energy: dict[str, str]
    """component -> nvml, rapl or estimated"""
    basis: str | None
    """what the joules would rest on"""
    rest: dict[str, str]
    """whether trials would be disturbed now: so many busy cores -> undisturbed, or why not"""
    database: dict[str, Any]
    network: dict[str, bool]
    """host -> whether it answered within 1.5 s"""
    advice: tuple[str, ...]
    """what is missing for what is configured, and how to bring it"""

    def text(self) -> str:
        """Sections in lines."""
        present = {key: "present" if held else "not set" for key, held in self.keys.items()}
        reached = {host: "reachable" if ok else "not reachable" for host, ok in self.network.items()}
        versions = {name: version or "not installed" for name, version in self.packages.items()}
        sections = {
            "machine": {"python": self.python, **self.machine, "gpu": self.gpu},
            "packages": versions,
            "keys": present,
            "energy": {**self.energy, "basis": self.basis},
            "now": self.rest,
            "database": self.database,
            "network": reached,
        }
        lines = [line for name, rows in sections.items() for line in (name, *pairs(rows, "  "))]
        lines += ["advice"] if self.advice else []
        return "\n".join([*lines, *(f"  {advice}" for advice in self.advice)])


def doctor(campaign: Campaign, llm: dict[str, Any], root: str) -> Examined:
    """Look at everything at once; what hangs is given up after its timeout."""
    with ThreadPoolExecutor(8) as pool:
        reached = {host: pool.submit(_answers, host) for host in _hosts(llm)}
        energy = pool.submit(elsewhere, _PROBE, _PROBE_S)
        database = _database(campaign)
        network = {host: answer.result() for host, answer in reached.items()}
        packages = {name: _version(name) for name in PACKAGES}
        probed = energy.result()
    keys = {name: bool(os.environ.get(name)) for name in _keys(campaign.conf, llm)}
    return Examined(
        python=platform.python_version(),
        machine=_machine(Path(root)),
        packages=packages,
        keys=keys,
        gpu=_gpu(),
        energy=probed.get("energy", _UNKNOWN),
        basis=probed.get("basis"),
        rest={f"{cores} busy": why or "undisturbed" for cores, why in probed.get("rest", {}).items()}
        or {"this machine": f"could not be looked at within {_PROBE_S:g} s"},
        database=database,
        network=network,
        advice=(*_advice(llm, packages, keys, database), *_quieter(probed)),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _machine(root: Path) -> dict[str, Any]:
    where = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "memory": f"{memory:.1f} GiB",
        "free disk": f"{shutil.disk_usage(where).free / 2**30:.1f} GiB at {where}",
    }


def _gpu() -> str:
    from research.space.identity import hardware_class

    try:
        return hardware_class({"accelerator": "gpu", "devices": -1}).removeprefix("gpu:")
    except Refusal:
        return "none"


def elsewhere(code: str, seconds: float) -> dict[str, Any]:
    """The JSON object that Python code prints in a process of its own; empty where it prints none in time."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, timeout=seconds
        )
        printed: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return {}
    return printed


def _quieter(probed: dict[str, Any]) -> list[str]:
    """What follows where others work on this machine at this moment."""
    held = [cores for cores, why in probed.get("rest", {}).items() if why]
    if not held:
        return []
    trials = "even a single trial" if "1" in held else f"{held[0]} trials at a time"
    return [
        f"others work on this machine now: {trials} would be disturbed, its times and joules compared "
        "nowhere; wait, or end what else runs."
    ]


def _keys(conf: Path, llm: Mapping[str, Any]) -> list[str]:
    """The variables that the models of conf/llm and Weights & Biases read."""
    files = sorted((conf / "llm").glob("*.yaml"))
    named = {parsed(text_of(path), path).get("key_env") for path in files}
    named.add(llm.get("key_env"))
    return sorted({str(name) for name in named if name} | {"WANDB_API_KEY"})


def _hosts(llm: Mapping[str, Any]) -> list[str]:
    """Where the lab may want to go: the model's server first, when one is chosen."""
    server = urlparse(str(llm.get("api_base") or ""))
    port = server.port or (443 if server.scheme == "https" else 80)
    own = [f"{server.hostname}:{port}"] if server.hostname else []
    return [*own, *_HOSTS]


def _answers(host: str) -> bool:
    import socket

    name, _, port = host.rpartition(":")
    try:
        socket.create_connection((name, int(port)), timeout=_NETWORK_S).close()
    except OSError:
        return False
    return True


def _database(campaign: Campaign) -> dict[str, Any]:
    """The database as it is; one that is not there is not made."""
    about: dict[str, Any] = {"url": campaign.address, "exists": campaign.exists}
    if not campaign.exists:
        return about
    began = time.perf_counter()
    try:
        store = campaign.store
        about |= store.server()
    except Refusal as refusal:
        return about | {"error": str(refusal)}
    about |= {"answers in": f"{1000 * (time.perf_counter() - began):.0f} ms"}
    try:
        with store.read() as connection:
            wrong = complaints(connection)
    except Refusal as refusal:
        return about | {"error": str(refusal)}
    told = f"{wrong[0]}; {len(wrong)} in all" if wrong else "sound"
    return about | {"integrity": told}


def _advice(
    llm: Mapping[str, Any], packages: dict[str, str | None], keys: dict[str, bool], database: dict[str, Any]
) -> list[str]:
    needed = [name for name in ("torch", "lightning", "optuna") if packages[name] is None]
    advice = [f"{name} is not installed: pip install . brings it." for name in needed]
    wanted = llm.get("key_env")
    if wanted and not keys[wanted]:
        advice.append(f"the chosen model needs {wanted}: set it in the environment, or choose llm=none.")
    if "error" in database:
        advice.append(str(database["error"]))
    if database.get("integrity", "sound") != "sound":
        advice.append(
            "the database is damaged: stop what writes to it, and bring back a file of task=backup."
        )
    return advice
