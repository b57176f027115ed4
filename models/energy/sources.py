"""Which sources of joules this machine has for a device: the best one of each component."""

from models.energy.counter import Counter, Unreadable
from models.energy.estimate import Estimate, calibrated
from models.energy.nvml import Nvml, uuid_of
from models.energy.rapl import Rapl
from power.processor import processor


def open_counters(device: str) -> tuple[list[Counter], dict[str, str]]:
    """The counters for a torch device, and what has none: component -> why.

    RAPL that cannot be read is no gap but the ordinary case: then CPU seconds are counted and multiplied.
    Raises `Refusal` for a calibration that cannot be read.
    """
    counters: list[Counter] = []
    missing: dict[str, str] = {}
    if device != "cpu":
        try:
            counters.append(_gpu(device))
        except Unreadable as reason:
            missing["gpu"] = str(reason)
    profile, note = calibrated()
    try:
        counters.append(Rapl(profile, note))
    except Unreadable:
        counters.append(Estimate(processor(), profile, note))
    return counters, missing


def _gpu(device: str) -> Counter:
    if not device.startswith("cuda"):
        raise Unreadable(f"no energy counter is known for {device}")
    return Nvml(uuid_of(device))
