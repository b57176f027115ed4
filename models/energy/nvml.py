"""Energy of an NVIDIA GPU by the driver's own counter (Volta or newer), through NVML.

The counter integrates the whole board and moves about every 100 ms (20 ms on some); sampling the power
instead sees a quarter of the time on A100 and H100 (Yang et al., arXiv 2312.02741), so no sampled power here.
"""

from typing import Any, final

from models.energy.counter import Unreadable
from models.energy.figures import Tally

# Utilisation is averaged over up to a second: a shorter window may end before it moves.
_UTILISATION_S = 1.0
_IDLE_PERCENT = 2


@final
class Nvml:
    """Cumulative joules of one GPU since it was opened.

    `library` is `pynvml` or a stand-in for it. Raises `Unreadable` where there is no driver, no such GPU, or
    no counter: before Volta, or inside a MIG slice, which has none of its own.
    """

    method = "nvml"
    components: tuple[str, ...] = ("gpu",)
    tick_s = 0.1
    shared = True
    basis = "NVML, the whole board"
    standing_w = 0.0

    def __init__(self, uuid: str, library: Any = None) -> None:
        if library is None:
            import pynvml

            library = pynvml
        self._nvml, self._busy = library, -1
        try:
            library.nvmlInit()
            self._handle = library.nvmlDeviceGetHandleByUUID(uuid)
            self._name = _text(library.nvmlDeviceGetName(self._handle))
            self._driver = _text(library.nvmlSystemGetDriverVersion())
        except library.NVMLError as error:
            raise Unreadable(f"NVML cannot reach GPU {uuid}: {error}") from error
        self._last_mj = self._opened_mj = self._millijoules()
        # Before the first kernel of this process, so without a context of its own.
        self._idle_w = self._watts() if self._utilisation() <= _IDLE_PERCENT else None

    def read(self, exact: bool = True) -> dict[str, float]:
        """Joules since it was opened; if exact, also looks how busy the GPU is. Under 1 ms."""
        now = self._millijoules()
        if now < self._last_mj:
            raise Unreadable("the GPU's energy counter went backwards: its driver was reloaded")
        self._last_mj = now
        if exact:
            self._busy = max(self._busy, self._utilisation())
        return {"gpu": (now - self._opened_mj) / 1000}

    def own(self, used: Tally) -> dict[str, float]:
        """All that was counted: the GPU is this trial's, and its idle draw with it."""
        return {"gpu": used.counted.get("gpu", 0.0)}

    def mark(self) -> None:
        """Forget how busy the GPU was."""
        self._busy = -1

    def doubts(self, seconds: float) -> list[str]:
        """An idle GPU, or one that other processes compute on."""
        found = []
        if seconds >= _UTILISATION_S and 0 <= self._busy <= _IDLE_PERCENT:
            found.append(f"the GPU was idle in the window (at most {self._busy} % busy)")
        others = self._processes() - 1
        if others > 0:
            found.append(f"{others} other process(es) computed on the same GPU")
        return found

    def hardware(self) -> dict[str, Any]:
        """The GPU's name, the driver's version, and watts before the trial if it was idle then, else None."""
        return {"gpu": self._name, "driver": self._driver, "gpu_idle_w": self._idle_w}

    def stop(self) -> None:
        """Give the library back; others in this process may go on using it (NVML counts its users)."""
        self._nvml.nvmlShutdown()

    def _millijoules(self) -> int:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            raise Unreadable(f"{self._name} has no readable energy counter: {error}") from error

    def _watts(self) -> float | None:
        """Drawn right now; None where the driver does not tell."""
        try:
            return int(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None

    def _utilisation(self) -> int:
        """Percent of the last second with a kernel running; -1 where the driver does not tell."""
        try:
            return int(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except self._nvml.NVMLError:
            return -1

    def _processes(self) -> int:
        """Processes that compute on the GPU; 0 where the driver does not tell, as in most containers."""
        try:
            return len(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle))
        except self._nvml.NVMLError:
            return 0


def uuid_of(device: str) -> str:
    """NVML's name for a torch device such as `cuda:1`: by UUID, since CUDA_VISIBLE_DEVICES renumbers."""
    import torch

    if not torch.cuda.is_available():
        raise Unreadable(f"{device} is not there")
    return f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
