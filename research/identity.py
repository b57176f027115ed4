"""What a result depends on beside its configuration: the code, the data and the machine.

None of it imports torch. `train.py` and `research/` are left out of the code's digest: they choose and
record, and what they choose is in the signature.
"""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.types import Key

_ROOT = Path(__file__).resolve().parents[1]
_ENGINE = ("lightning", "torch")
# What importing leaves behind is no data.
_NOT_DATA = {"__pycache__"}


def key(config: Mapping[str, Any], signature: str) -> Key:
    """Identify a trial of a resolved config; raises `Refusal` as the digests below do."""
    return Key(
        signature=signature,
        code=code_digest(config),
        data=_with_teacher(data_digest(config["data"]), config),
        hardware=hardware_class(config["trainer"]),
    )


def _with_teacher(digest: str, config: Mapping[str, Any]) -> str:
    """With a teacher from a checkpoint, what it learnt is data too: its path may come to hold another one."""
    distill = (config.get("compress") or {}).get("distill") or {}
    teacher = distill.get("teacher")
    path = teacher.get("checkpoint") if isinstance(teacher, Mapping) else None
    if path is None or not Path(str(path)).exists():
        return digest
    return _sha256([digest, _content(Path(str(path)))])


def code_digest(config: Mapping[str, Any] | None = None) -> str:
    """Digest of the sources under models/ and of the versions of torch and lightning.

    With a config, the version of every other package that one of its `_target_`s names counts too.
    The sources are read once a process: what is imported does not change with the file.
    """
    roots = {target.split(".")[0] for target in _targets(config or {})} - {"models"}
    versions = [f"{name}={_version(name)}" for name in sorted(roots.union(_ENGINE))]
    return _sha256([_sources(_ROOT / "models"), *versions])


def data_digest(data: Mapping[str, Any]) -> str:
    """Digest of where the data comes from: what is under `path`, else the versions of `packages`.

    `python` among the packages stands for the standard library. Generated data has neither: the code's
    digest covers it. Raises `Refusal` when the path is missing or cannot be read.
    """
    if data.get("path"):
        return _content(Path(str(data["path"])).expanduser())
    packages = sorted(data.get("packages") or ())
    return _sha256([f"{name}={_version(name)}" for name in packages]) if packages else "generated"


def hardware_class(trainer: Mapping[str, Any]) -> str:
    """The machine's kind, for example `cpu:Intel(R) Xeon(R) Platinum 8481C x2` or `gpu:NVIDIA H200`.

    Raises `Refusal` when the trainer asks for a GPU and there is none.
    """
    accelerator = str(trainer.get("accelerator", "auto"))
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and _cuda_at_hand()):
        return _gpu(trainer.get("devices", 1))
    return f"{'cpu' if accelerator == 'auto' else accelerator}:{_cpu_model()} x{_cores()}"


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item)


@cache
def _version(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


@cache
def _sources(folder: Path) -> str:
    files = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")]
    return _sha256(part for name, path in sorted(files) for part in (name, _file_sha256(path)))


def _content(path: Path) -> str:
    """Digest of a file, or of the names and contents of all files under a folder."""
    if not path.exists():
        raise Refusal(f"data.path: there is no {path}; give a file or folder that exists.")
    try:
        files = sorted(_files(path))
        return _sha256(part for name, file, *seen in files for part in (name, _remembered(file, *seen)))
    except OSError as error:
        raise Refusal(f"data.path: {error.filename or path} cannot be read ({error.strerror}).") from error


def _files(path: Path) -> Iterator[tuple[str, Path, int, int]]:
    for file in [path] if path.is_file() else _walk(path):
        about = file.stat()
        yield file.relative_to(path).as_posix(), file.resolve(), about.st_size, about.st_mtime_ns


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name not in _NOT_DATA:
            yield from _walk(entry)
        elif entry.is_file():
            yield entry


@cache
def _remembered(file: Path, size: int, changed_ns: int) -> str:
    """Digest of a file's content, taken again only when its size or time of change differs."""
    return _file_sha256(file)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(parts: Any) -> str:
    whole = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogateescape")
        whole.update(len(text).to_bytes(8, "big") + text)  # lengths, so that a|bc and ab|c differ
    return whole.hexdigest()


@cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda_at_hand() -> bool:
    return not _version("torch").endswith("+cpu") and bool(_gpu_names())


def _gpu(devices: Any) -> str:
    names = _gpu_names()
    if not names:
        raise Refusal("The trainer asks for a GPU and no NVIDIA driver answers: use trainer=cpu.")
    used = _chosen(names, devices)
    kinds = sorted(set(used))
    return "gpu:" + ", ".join(f"{kind} x{used.count(kind)}" if len(used) > 1 else kind for kind in kinds)


def _chosen(names: list[str], devices: Any) -> list[str]:
    """The names behind Lightning's `devices`: a list of indices, a count, -1 or "auto"."""
    if devices in ("auto", -1, "-1", None):
        return names
    indices = list(devices) if isinstance(devices, list | tuple) else list(range(int(devices)))
    if any(index >= len(names) for index in indices):
        raise Refusal(f"trainer.devices={devices} and this machine shows {len(names)} GPU: ask for fewer.")
    return [names[index] for index in indices]


@cache
def _gpu_names() -> list[str]:
    """Names of the GPUs that CUDA would show, by NVML, without making a CUDA context."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in _visible(pynvml)]
    finally:
        pynvml.nvmlShutdown()


def _visible(nvml: Any) -> list[Any]:
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    handles = []
    for name in filter(None, (part.strip() for part in wanted.split(","))):
        try:
            by_index = name.lstrip("-").isdigit()
            get = nvml.nvmlDeviceGetHandleByIndex if by_index else nvml.nvmlDeviceGetHandleByUUID
            handles.append(get(int(name) if by_index else name))
        except nvml.NVMLError:
            break  # CUDA too shows nothing from the first name that it does not know
    return handles
