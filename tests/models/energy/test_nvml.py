import pynvml
import pytest

from models.energy.counter import Unreadable
from models.energy.figures import Tally
from models.energy.nvml import Nvml, uuid_of


class Library:
    """Stands in for pynvml: names are checked against the real one, whose error class and structs it uses."""

    NVMLError = pynvml.NVMLError

    def __init__(self, **gives):
        self.energy_mj, self.busy, self.processes, self.calls = [1000, 3500], 80, [1], []
        self.fails = {}
        vars(self).update(gives)

    def __getattr__(self, name):
        assert callable(getattr(pynvml, name)), f"pynvml has no function {name}"

        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.fails:
                raise pynvml.NVMLError(self.fails[name])
            return self.answer(name)

        return call

    def answer(self, name):
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return self.energy_mj.pop(0) if len(self.energy_mj) > 1 else self.energy_mj[0]
        utilisation = pynvml.c_nvmlUtilization_t()
        utilisation.gpu = self.busy
        return {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlDeviceGetHandleByUUID": "handle",
            "nvmlDeviceGetName": b"NVIDIA H100",
            "nvmlSystemGetDriverVersion": "550.1",
            "nvmlDeviceGetPowerUsage": 71_500,
            "nvmlDeviceGetUtilizationRates": utilisation,
            "nvmlDeviceGetComputeRunningProcesses": self.processes,
        }[name]


def test_joules_since_opening_come_from_the_drivers_millijoules():
    library = Library(energy_mj=[1000, 3500, 4000])
    counter = Nvml("GPU-abc", library)
    assert counter.read() == {"gpu": 2.5}
    assert counter.read(exact=True) == {"gpu": 3.0}
    assert ("nvmlDeviceGetHandleByUUID", "GPU-abc") in library.calls
    assert counter.own(Tally(counted={"gpu": 2.5, "cpu": 9.0})) == {"gpu": 2.5}
    assert counter.hardware() == {"gpu": "NVIDIA H100", "driver": "550.1", "gpu_idle_w": None}
    counter.stop()
    assert library.calls[-1] == ("nvmlShutdown",)


def test_the_idle_draw_is_what_the_board_took_before_if_it_was_idle():
    assert Nvml("GPU-abc", Library(busy=1)).hardware()["gpu_idle_w"] == 71.5
    silent = {"nvmlDeviceGetPowerUsage": pynvml.NVML_ERROR_NOT_SUPPORTED}
    assert Nvml("GPU-abc", Library(busy=0, fails=silent)).hardware()["gpu_idle_w"] is None


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("nvmlInit", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND),
        ("nvmlDeviceGetHandleByUUID", pynvml.NVML_ERROR_NOT_FOUND),
        ("nvmlDeviceGetTotalEnergyConsumption", pynvml.NVML_ERROR_NOT_SUPPORTED),
    ],
)
def test_no_driver_no_gpu_or_no_counter_is_said(function, code):
    with pytest.raises(Unreadable):
        Nvml("GPU-abc", Library(fails={function: code}))


def test_a_counter_that_goes_backwards_is_no_figure():
    counter = Nvml("GPU-abc", Library(energy_mj=[5000, 10]))
    with pytest.raises(Unreadable, match="backwards"):
        counter.read()


def test_a_counter_that_is_lost_on_the_way_is_no_figure():
    library = Library()
    counter = Nvml("GPU-abc", library)
    library.fails["nvmlDeviceGetTotalEnergyConsumption"] = pynvml.NVML_ERROR_GPU_IS_LOST
    with pytest.raises(Unreadable, match="no readable energy counter"):
        counter.read()


@pytest.mark.parametrize(("busy", "seconds", "idle"), [(0, 2.0, True), (60, 2.0, False), (0, 0.3, False)])
def test_an_idle_gpu_is_seen_when_the_window_is_long_enough(busy, seconds, idle):
    counter = Nvml("GPU-abc", Library(busy=busy))
    counter.mark()
    counter.read()
    assert any("idle" in doubt for doubt in counter.doubts(seconds)) == idle


def test_work_before_the_window_does_not_hide_an_idle_one():
    library = Library(busy=90, energy_mj=[1, 2, 3])
    counter = Nvml("GPU-abc", library)
    counter.read()
    counter.mark()
    library.busy = 0
    counter.read()
    assert "idle" in counter.doubts(2.0)[0]


def test_other_processes_on_the_gpu_are_seen():
    counter = Nvml("GPU-abc", Library(processes=[1, 2, 3]))
    counter.read()
    assert counter.doubts(2.0) == ["2 other process(es) computed on the same GPU"]


def test_a_driver_that_does_not_tell_utilisation_or_processes_raises_no_doubt():
    code = pynvml.NVML_ERROR_NOT_SUPPORTED
    silent = {"nvmlDeviceGetUtilizationRates": code, "nvmlDeviceGetComputeRunningProcesses": code}
    counter = Nvml("GPU-abc", Library(fails=silent))
    counter.read()
    assert counter.doubts(2.0) == []


def test_a_device_that_is_not_there_has_no_name():
    with pytest.raises(Unreadable, match="cuda:7"):
        uuid_of("cuda:7")
