"""What all tests share: resolved configurations, and a Weights & Biases that never leaves the machine."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from own_children import children, told

import torchvision_kernels

torchvision_kernels.define()
ROOT = Path(__file__).parent.parent
# In the background of a shell the tests are started to ignore Ctrl-C, and all that they start would be, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["WANDB_MODE"] = "offline"
# Networks of tests are tiny: more threads only wait for each other, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_SILENT"] = "true"
# A machine that runs other things too makes any single example slow, and a run must not be red by chance.
# Here, because `given` reads the profile.
settings.register_profile(
    "lab", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lab")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays to the end: no collection of garbage need look through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _collect()


def _collect() -> None:
    """Collect what is garbage now; what is not is never looked at again, which would take 0.2 s each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def training() -> Any:
    """The composer of the training's configuration: Hydra itself would take 0.2 s for each."""
    from research.compose.compose import Composer

    return Composer(ROOT / "conf", "train")


@pytest.fixture
def resolve(training: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Compose the training configuration with overrides; files and database lie in the test's folder."""
    own = [f"store.url=sqlite:///{tmp_path}/lab.db", f"root={tmp_path}/runs", "logger=none"]
    return lambda *overrides: deepcopy(training.resolve([*own, *overrides]).config)


BROUGHT = "JOULELAB_BROUGHT"
"""variable that names what was installed for the tests, as by `.ci/run`: who skips for want of it fails"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """No test is skipped that was to run."""
    return found_wanting((yield))


def found_wanting(report: Any) -> Any:
    """The report, failed where what it was skipped for should be there: its reason says how it is had."""
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if any(name in why for name in os.environ.get(BROUGHT, "").split()):
        report.outcome, report.longrepr = "failed", why
    return report


@pytest.fixture(autouse=True, scope="module")
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a module whose processes outlive it: who counts processes or CPU seconds next would count them.

    Its garbage is collected here, so that what it forgot to close is told here and not in another module.
    """
    before = children()
    yield
    _collect()
    if compiler := sys.modules.get("torch._inductor.async_compile"):
        compiler.shutdown_compile_workers()
    left = [told(pid) for pid in children() - before if not _tracker(pid)]
    assert not left, f"{request.node.nodeid} left processes behind: {'; '.join(left)}"


def _tracker(pid: int) -> bool:
    """multiprocessing's own, which waits without work until this process ends, and has no way to end it."""
    return "multiprocessing.resource_tracker" in told(pid)
