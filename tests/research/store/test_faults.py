"""Every way to end has one class and each class one policy; only the configuration's own faults teach."""

from pathlib import Path

import pytest
import torch

from cases import each
from models.training.record import Diverged
from refusal import Refusal
from research.memory.doubts import Doubts
from research.run.job import how_it_ended, kept_reason
from research.run.row import reason
from research.store import faults
from research.store.outage import Unreachable
from research.store.store import Store, TrialClaim
from research.types import Key


def died(code: int, **more: object) -> str:
    about = {
        "code": code,
        "peak_bytes": 2**30,
        "ended_by": None,
        "silent": "no sign of life for 60 s",
        **more,
    }
    return kept_reason(*how_it_ended(about, {}, False, 9.0), {})


CASES = {
    "oom": [
        reason(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")),
        reason(MemoryError()),
        reason(
            RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory")
        ),
        died(-9, out_of_memory=True),
    ],
    "diverged": [reason(Diverged("diverged: the loss is nan at step 12"))],
    "hung": [died(-9, ended_by="hung")],
    "timeout": [died(-9, ended_by="timeout"), "timeout: it did not end within launcher.timeout_s=9"],
    "crashed": [
        died(-11),
        died(-6),
        died(3),
        reason(RuntimeError("CUDA error: device-side assert triggered")),
        reason(RuntimeError("mat1 and mat2 shapes cannot be multiplied")),
        "died: its process was killed by SIGSEGV while it held 1.0 GiB",
    ],
    "lost": [
        died(-9),
        died(-15),
        died(0, server="log", silent=None),
        "died: its process was killed by SIGKILL while it held 1 GiB, perhaps for want of memory",
    ],
    "infrastructure": [
        reason(Unreachable("The database postgresql://h/lab cannot be used (connection refused): start it.")),
        reason(Refusal("The database sqlite:///lab.db cannot be used (database is locked): stop it.")),
        reason(
            Refusal("runs/a/checkpoints/step_30.ckpt could not be written (No space left on device): free.")
        ),
        reason(OSError(28, "No space left on device")),
        reason(ConnectionResetError(104, "Connection reset by peer")),
        reason(RuntimeError("CUDA error: uncorrectable ECC error encountered")),
        reason(RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:1970, remote process exited")),
    ],
    "invalid": [
        reason(TypeError("__init__() got an unexpected keyword argument 'widht'")),
        reason(KeyError("x")),
    ],
    "refused": [
        reason(Refusal("Give a smaller width.")),
        reason(FileNotFoundError(2, "No such file", "a.csv")),
    ],
    None: ["interrupted: ", "stopped early: it could not win", "", None, reason(KeyboardInterrupt())],
}
OUTCOMES = {"done", "configuration", "infrastructure", "lost", "hung", "timeout", "cancelled", "interrupted"}


@each(("fault", "said"), [(fault, said) for fault, some in CASES.items() for said in some])
def test_a_reason_has_a_class(fault: faults.Fault | None, said: str | None) -> None:
    assert faults.of(said) == fault


def test_each_class_has_one_policy_and_an_outcome_that_the_database_knows() -> None:
    assert set(faults.POLICIES) == {fault for fault in CASES if fault is not None}
    assert {policy.outcome for policy in faults.POLICIES.values()} <= OUTCOMES
    teaching = {fault for fault, policy in faults.POLICIES.items() if policy.teaches}
    assert teaching == {"oom", "diverged", "crashed", "invalid"}
    assert {faults.POLICIES[fault].outcome for fault in teaching} == {"configuration"}
    others = {fault for fault, policy in faults.POLICIES.items() if not policy.own}
    assert others == {"lost", "infrastructure"}


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (reason(KeyboardInterrupt()), "interrupted"),
        (reason(SystemExit(143)), "interrupted"),
        ("cancelled: somebody asked for it", "cancelled"),
        ("stopped early: it could not win", "configuration"),
        (died(-9), "lost"),
        (died(-11), "configuration"),
        (reason(ConnectionResetError(104, "Connection reset by peer")), "infrastructure"),
    ],
)
def test_an_attempt_is_written_down_by_its_reason(said: str, outcome: str) -> None:
    assert faults.outcome(said) == outcome


def config(rate: float) -> dict:
    data = {"_target_": "models.data.digits.Digits"}
    return {"seed": 0, "optimizer": {"lr": rate}, "data": data, "trainer": {"accelerator": "cpu"}}


def database(folder: Path, failing: Exception) -> Store:
    """A hundred configurations that end well, and forty more of one region that fail for a reason."""
    store = Store(f"sqlite:///{folder}/lab.db")
    for number in range(140):
        failed = number >= 100
        one = config(1e-3 * (1 + number) if not failed else 1.0 + number)
        claim = store.claim(Key(f"s{number}", "c", "d", "h"), config=one, overrides=[])
        assert isinstance(claim, TrialClaim)
        if failed:
            store.fail(claim, reason(failing))
        else:
            store.finish(claim, {"val/accuracy": 0.9})
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "refused"),
    [
        (Unreachable("The database postgresql://host/lab cannot be used (connection refused): start it."), 0),
        (OSError(28, "No space left on device"), 0),
        (ValueError("the width must be even"), 18),
    ],
)
def test_an_outage_teaches_memory_nothing_and_a_fault_of_the_configuration_does(
    tmp_path: Path, failing: Exception, refused: int
) -> None:
    """Forty failures by an unreachable database made it refuse 18 of 18 healthy configurations."""
    store = database(tmp_path, failing)
    doubts = Doubts(store, store, probe=0.0)
    said = [doubts.about(config(1.5 + number + 100)) for number in range(18)]
    assert sum(one is not None and "like this one fail" in one.sentence for one in said) == refused
    store.close()
