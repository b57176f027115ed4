"""What no input to the gate may do: crash it, hold it, leave a file, read the environment."""

import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from research.space.gate import Space

ROOT = Path(__file__).parents[3]
GATE = ROOT / "tests" / "gate"
SPACE = Space(GATE / "conf", GATE / "space.yaml")

WRITES: list[str] = []
WATCHING = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHING and event in (
        "os.mkdir",
        "os.rename",
        "os.remove",
        "subprocess.Popen",
        "socket.connect",
        "exec",
    ):
        WRITES.append(event)
    if WATCHING and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        WRITES.append(str(arguments[0]))


sys.addaudithook(_audit)


class Unreadable(dict[str, str]):
    """An environment that tells whoever looks into it."""

    def __getitem__(self, name: str) -> str:
        raise AssertionError(f"{name} was read from the environment")

    get = __contains__ = __iter__ = __getitem__  # type: ignore[assignment]


@contextmanager
def watched() -> Iterator[None]:
    """Neither a file is written nor the environment read within."""
    global WATCHING
    WRITES.clear()
    environment, os.environ = os.environ, Unreadable()  # type: ignore[assignment]
    WATCHING = True
    try:
        yield
    finally:
        WATCHING, os.environ = False, environment
    assert not WRITES


WORDS = (
    "optimizer model seed tags . = lr [ ] ( ) { } , ' \" \\ $ ${ range( choice( 1e _target_ hydra / @ + ~ -"
    " 1, [1, nan null .. %s oc.env:HOME int( glob(*) ??? :"
)
PIECES = st.sampled_from([*WORDS.split(" "), "9" * 60, " ", "\x00", "\n", "\u00e9", "\ud800"])
TEXTS = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=700)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=5) | ANYTHING)
@example("optimizer=lion")
@example({"optimizer": "lion"})
@example([["optimizer=lion"]])
@example([b"optimizer=lion", None, 3, float("nan")])
@example(["model=" + "[" * 509])
@example(["seed=" + "9" * 507])
def test_anything_gets_an_answer_and_leaves_nothing(overrides: Any) -> None:
    with watched():
        complaints = SPACE.check(overrides)
    assert all(re.fullmatch(r"[ -~]+", complaint) for complaint in complaints)


def calls(job: Callable[[], object]) -> int:
    """How many functions a job calls: what it does, however busy the machine is."""
    count = 0

    def seen(frame: object, event: str, value: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        job()
    finally:
        sys.setprofile(None)
    return count


def test_deep_and_large_things_are_answered_without_a_look_at_all_of_them() -> None:
    deep = functools.reduce(lambda inner, _: [inner], range(100_000), [])
    for thing in (deep, ["x"] * 10**6, "y" * 10**7, {"z": deep}, b"x" * 10**7):
        assert SPACE.check([thing])
        assert calls(lambda thing=thing: SPACE.check([thing])) < 100  # type: ignore[misc]


HEAVY = {
    "brackets": ["name=" + "[" * 507] * 32,
    "values": ["seed=" + ",".join("1" * 250)] * 32,
    "a long list in every key": [f"{name}=[{','.join('1' * 220)}]" for name in SPACE.file.keys],
    "a long sweep in every key": [f"{name}={','.join('1' * 220)}" for name in SPACE.file.keys],
    "unknown keys": [f"optimizer.l{index}r.{'a.' * 200}b=1" for index in range(32)],
    "near misses": [f"optimizer.weight_deca{index}=1" for index in range(32)],
    "escapes": ["name=" + "\\\\" * 250] * 32,
    "quotes": ["name=" + "'" * 507] * 32,
    "percents": ["name=" + "%" * 507] * 32,
    "underscores": ["_" * 512] * 32,
    "a full sweep": ["seed=range(64)", "model=transformer", "optimizer=lion", "model.heads=4", "data=mnist"],
    "a full sweep of options": [
        "model=cnn,mlp",
        "optimizer=adam,adamw,lion,sgd",
        "scheduler=cosine,step",
        "seed=1,2,3,4",
    ],
    "a failing sweep": ["model=transformer", "model.width=range(1,65)", "model.heads=64"],
    "an absent key everywhere": ["seed=range(64)", "model=cnn", "model.heads=4"],
    "lists in a sweep": [
        "model.hidden=" + ",".join(["[" + ",".join("1" * 16) + "]"] * 14),
        "optimizer.betas=[0.9,0.99],[0.9,0.9]",
    ],
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_proposal_costs_more_than_fifty_milliseconds(name: str) -> None:
    def cost() -> float:
        start = time.thread_time()
        SPACE.check(HEAVY[name])
        return time.thread_time() - start

    assert any(cost() < 0.05 for _ in range(20)), "whatever else the machine does meanwhile"


def test_no_recorded_case_is_slow_or_leaves_anything() -> None:
    for line in (GATE / "overrides.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["override"]
        SPACE.check([text])
        with watched():
            assert calls(lambda text=text: SPACE.check([text])) < 10_000, text  # type: ignore[misc]


def test_importing_it_is_cheap_and_brings_neither_hydra_nor_omegaconf() -> None:
    code = (
        "import sys, research.space.gate; print(sorted({'hydra', 'omegaconf', 'antlr4'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
