"""What a result depends on beside its configuration: the code, the data, other files, and the machine.

None of it imports torch. `train.py` and `research/` are left out of the code's digest: they choose and
record, and what they choose is in the signature.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from power import energy_profile
from power.processor import processor
from reading.digest import content, remembered, sha256
from refusal import Refusal
from research.space import contents
from research.space.contents import commit
from research.space.signature import acting
from research.space.sources import code_digest, version
from research.types import Key

_APART = ("ckpt_path", "data.path", "compress.distill.teacher")
"""paths that are looked at in a way of their own"""
_OTHERS = "+"


def key(config: Mapping[str, Any], signature: str, teacher: Iterable[str] = ()) -> Key:
    """Identify a trial of a resolved config, with what identifies its `teacher` where it has one.

    Whoever cannot rule a teacher out asks `research.run.teachers.key`, which knows it. Raises `Refusal` as
    the digests below do.
    """
    return Key(
        signature=signature,
        code=code_digest(acting(config)),
        data=_OTHERS.join([data_digest(config["data"]), *_others(config, list(teacher))]),
        hardware=hardware_class(config["trainer"]),
    )


def data_digest(data: Mapping[str, Any]) -> str:
    """Digest of where the data comes from: what is under `path`, else its `packages` and its hub's commit.

    `python` among the packages stands for the standard library. Generated data has none of them: the code's
    digest covers it. Raises `Refusal` when the path is missing or cannot be read.
    """
    if data.get("path"):
        return content(Path(str(data["path"])).expanduser())
    parts = [f"{name}={version(name)}" for name in sorted(data.get("packages") or ())]
    if data.get("hub"):
        # A tag or a commit may be all digits, which a command line reads as a number.
        revision = None if data.get("revision") is None else str(data["revision"])
        parts.append(f"{data['hub']}@{commit(str(data['hub']), revision)}")
    return sha256(parts) if parts else "generated"


def begun(config: Mapping[str, Any]) -> tuple[Path | None, list[Path]]:
    """The file that `ckpt_path` stands for now, and the damaged ones of its folder that are newer."""
    path = config.get("ckpt_path")
    # A shell leaves the ~ of ckpt_path=~/x as it is; Path's own raises where there is no such home.
    return (None, []) if path is None else contents.checkpoint(Path(os.path.expanduser(str(path))))  # noqa: PTH111


def data_alone(key: Key) -> str:
    """Digest of the data of a trial without what else it began from: what two trials of one task share."""
    return key.data.partition(_OTHERS)[0]


def files(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Whatever file or folder a training begins from: key -> its path and the SHA-256 of what it holds.

    Data, and the teacher of a distillation, are told elsewhere. Raises `Refusal` for what cannot be read.
    """
    paths = contents.named(acting(config), without=_APART)
    begins, _ = begun(config)
    paths |= {} if begins is None else {"ckpt_path": begins}
    return {
        key: {
            "path": str(path),
            "sha256": remembered(path) if path.is_file() else content(path),
        }
        for key, path in sorted(paths.items())
    }


def _others(config: Mapping[str, Any], teacher: list[str]) -> list[str]:
    """Digest of whatever else a training begins from; empty where it begins from its data alone."""
    parts = contents.digest(contents.named(acting(config), without=_APART))
    if config.get("ckpt_path") is not None:
        file, _ = begun(config)
        parts += ["ckpt_path", "none" if file is None else remembered(file)]
    if has_teacher(config):
        assert teacher, "research.run.teachers.key knows what identifies a teacher"
        parts += ["teacher", *teacher]
    if (config.get("budget") or {}).get("joules") is not None:
        parts += ["watts", *_watts()]
    return [sha256(parts)] if parts else []


def has_teacher(config: Mapping[str, Any]) -> bool:
    """Whether a config names the teacher of a distillation; `self` is none but the student itself."""
    return isinstance(((config.get("compress") or {}).get("distill") or {}).get("teacher"), Mapping)


def _watts() -> list[str]:
    """What joules are made of here: with another calibration, as many of them are another training."""
    profile = energy_profile.place()
    return [content(profile, "the energy profile")] if profile.is_file() else []


def hardware_class(trainer: Mapping[str, Any]) -> str:
    """The machine's kind, for example `cpu:Intel(R) Xeon(R) Platinum 8481C x2` or `gpu:NVIDIA H200`.

    Raises `Refusal` when the trainer asks for a GPU and there is none.
    """
    accelerator = str(trainer.get("accelerator", "auto"))
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and _cuda_at_hand()):
        return _gpu(trainer.get("devices", 1))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{'cpu' if accelerator == 'auto' else accelerator}:{processor().model} x{cores}"


def _cuda_at_hand() -> bool:
    return not version("torch").endswith("+cpu") and bool(_gpu_names())


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
