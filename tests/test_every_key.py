"""Every key of conf/ is in a trial's identity, or changes no figure that is stored, or is told anew."""

import hashlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

import own_data
import own_nets
import train
from cases import each
from research.metrics import is_timed
from research.run.teachers import key
from research.space import contents, identity
from research.space.gate import Space
from research.space.signature import signature, steps_of
from research.stats.comparable import comparable
from research.store.store import Store

CONF = Path(__file__).parent.parent / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
GROUPS = sorted(group for group in SPACE.composer.chosen if "/" not in group)
SILENT: dict[str, Any] = {
    # Key -> a value beside which a training must leave the same figures, bit for bit.
    "name": "another",
    "tags": ["a", "b"],
    "score": "test/loss",
    "root": "elsewhere",
    "force": True,
    "unmeasured": ["infer"],
    "dry_run": True,
    "question": "why?",
    "study": {"question": "why?"},
    "store.url": "sqlite:///{}/another.db",
    "logger": {"csv": {"_target_": "models.training.loggers.csv", "_partial_": True}},
    "launcher.jobs": 7,
    "launcher.timeout_s": 600,
    "launcher.stall_s": 600,
    "launcher.disk_floor_gib": 0.1,
    "runner": {"_target_": "research.run.engines.Local", "workers": 2, "jobs": 1, "threads": None},
    "meter.sampling_s": 0.5,
    "meter.min_window_s": 0.2,
    "meter.concurrent": 3,
    "meter.concurrent_gpu": 2,
    "budget.ceilings": {"profile": "cpu", "batch_size": 1024},
    "callbacks.checkpoint.every_seconds": 0.001,
    "callbacks.checkpoint.every_steps": 3,
    "callbacks.checkpoint": None,
    "callbacks.halving": {
        "_target_": "models.training.callbacks.halving.HalvingStop",
        "metric": "val/accuracy",
        "direction": "max",
        "bars": {0.3: 0.0, 0.6: 0.01},
        "cap": 1e9,
        "settled": 0.3,
    },
    "trainer.steps_per_call": 2,
    "data.drawn": "once",
    "data.cache": "elsewhere",
    "data.memory_bytes": 0,
    "data.workers": 3,
}
TOLD = {"meter.country", "meter.grid_g_per_kwh"}
"""computed anew for a known trial, as tests/research/run/test_retold.py shows"""
COMPARED = {"launcher.threads"}
"""said among the facts, and figures of different ones are not compared"""
CLOCKED = {
    "seconds": {"callbacks.checkpoint", "trainer.steps_per_call", "launcher.jobs", "launcher.threads"},
    "joules": {"meter._target_", "meter.sampling_s"},
}
"""what decides how many steps a budget holds beside the machine; one of joules has both"""
PLACES = {"data.path"}
"""not by its name but by what lies there, as tests/research/space/test_contents.py shows"""


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree that holds no others, by dotted key."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def turned(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return "gpu" if value == "cpu" else value + "x"
    if isinstance(value, list):
        return [*value, turned(value[-1]) if value else "x"]
    return {"a": 1} if isinstance(value, dict) else 1


def taken(dotted: str) -> Any:
    """A value that a knob takes and no option has by default."""
    knob = SPACE.file.keys[dotted]
    return knob.of[-1] if knob.of else knob.high


def having(config: dict[str, Any], dotted: str, value: Any, part: bool = False) -> dict[str, Any]:
    """The config with one key set, or a group of it left out for None; it shares all others."""
    first, _, below = dotted.partition(".")
    if below:
        return config | {first: having(config[first], below, value, part=True)}
    if part and value is None and isinstance(config[first], dict):
        return {name: kept for name, kept in config.items() if name != first}
    return config | {first: value}


def clocked(config: dict[str, Any]) -> set[str]:
    """The keys that its kind of budget has in the identity."""
    joules, seconds = (config["budget"].get(name) is not None for name in ("joules", "seconds"))
    return (CLOCKED["seconds"] if joules or seconds else set()) | (CLOCKED["joules"] if joules else set())


def within(dotted: str, names: set[str]) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in names)


def options() -> list[tuple[str, str]]:
    return [(group, name) for group in GROUPS for name in SPACE.composer.files.options(group)]


def chosen(group: str, name: str, place: Path) -> dict[str, Any]:
    if group == "data" and name in own_data.MADE:
        return SPACE.resolve(own_data.line(name, place))
    several = group in ("compress", "callbacks")
    needs = own_nets.NEEDS.get((group, name), [])
    return SPACE.resolve([f"{group}=[{name}]" if several else f"{group}={name}", *needs])


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(identity, "_gpu_names", lambda: ["NVIDIA H200"] * 3)
    contents.commit.cache_clear()
    yield
    contents.commit.cache_clear()


@pytest.mark.slow
@each(("group", "name"), options())
def test_every_key_of_an_option_is_in_the_identity_or_accounted_for(
    group: str, name: str, tmp_path: Path
) -> None:
    config = chosen(group, name, tmp_path)
    before, idle = key(config, signature(config)), SPACE.idle(config)
    for dotted, value in leaves(config):
        if within(dotted, PLACES):
            continue
        # What an idle knob does not take stays in the identity, for whoever refuses it.
        other = having(config, dotted, taken(dotted) if dotted in idle else turned(value))
        same = key(other, signature(other)) == before
        silent = dotted in idle or (
            (
                within(dotted, SILENT.keys() | TOLD | COMPARED | {"meter"})
                and not within(dotted, clocked(config))
            )
            or (within(dotted, {"backend"}) and not steps_of(config))
        )
        assert same == silent, f"{dotted} of {group}={name} is {'not ' * same}in the identity"


def test_what_makes_the_code_is_in_the_identity_where_code_is_made() -> None:
    names = SPACE.composer.files.options("backend")
    for steps, kinds in (("[]", 1), ("[int8_static]", len(names))):
        configs = [SPACE.resolve([f"compress={steps}", f"backend={name}"]) for name in names]
        assert len({key(config, signature(config)) for config in configs}) == kinds


def test_a_tolerance_is_in_the_identity_and_none_is_as_before() -> None:
    config = SPACE.resolve(["compress=[int8_static]"])
    without = config | {"compress": {"int8_static": config["compress"]["int8_static"]}}
    assert signature(without) == signature(config)
    assert signature(having(config, "compress.tolerance", 0.01)) != signature(config)


def test_a_budget_by_a_clock_has_what_decides_how_many_steps_it_holds() -> None:
    for budget in CLOCKED:
        config = SPACE.resolve(["budget.steps=null", f"budget.{budget}=10"])
        before = signature(config)
        others = {dotted: having(config, dotted, turned(value)) for dotted, value in leaves(config)}
        for dotted in [one for one in others if within(one, SILENT.keys() | TOLD | COMPARED | {"meter"})]:
            assert (signature(others[dotted]) != before) == within(dotted, clocked(config)), dotted


def test_the_order_of_callbacks_is_in_the_identity_but_for_those_that_change_nothing() -> None:
    config = SPACE.resolve([])
    mine = {"average": {"_target_": "x.Average"}, "clip": {"_target_": "x.Clip"}}
    orders = [mine, dict(reversed(mine.items())), config["callbacks"] | mine, mine | config["callbacks"]]
    names = [signature(config | {"callbacks": order}) for order in orders]
    assert names[0] != names[1] and names[2] != names[3]
    usual = dict(reversed(config["callbacks"].items()))
    assert signature(config | {"callbacks": usual}) == signature(config)


def test_a_key_of_a_users_network_is_never_idle() -> None:
    config = SPACE.resolve(["data=mnist1d", "model=cnn", "model.depth=1"])
    assert "model.growth" in SPACE.idle(config)
    theirs = config | {"model": config["model"] | {"_target_": "user_package.net.Net"}}
    assert not [name for name in SPACE.idle(theirs) if name.startswith("model.")]
    assert signature(theirs) != signature(having(theirs, "model.growth", 2))


@pytest.mark.slow
@each("name", sorted({*SPACE.composer.files.options("model")} - own_nets.LINES.keys()))
def test_what_is_idle_of_a_network_builds_the_same_network(name: str) -> None:
    tokens = SPACE.resolve([f"model={name}"])["model"]["_target_"].split(".")[-1] in ("GPT", "MoEGPT")
    config = SPACE.resolve([f"model={name}", "data=mqar" if tokens else "data=mnist1d"])
    shape = config["data"]["shape"]
    x = torch.zeros(2, *shape, dtype=torch.int64) if tokens else torch.randn(2, *shape)
    for dotted in [one for one in SPACE.idle(config) if one.startswith("model.")]:
        knob = SPACE.file.keys[dotted].within(name)
        values = list(knob.of or (knob.low, knob.high))[:2]
        built = [answers(having(config, dotted, value)["model"], x) for value in values]
        assert built[0].keys() == built[1].keys(), dotted
        assert all(torch.equal(built[0][part], built[1][part]) for part in built[0]), dotted


def answers(model: dict[str, Any], x: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    net = train.build(model).eval()
    with torch.no_grad():
        return dict(net.state_dict()) | {"answers": net(x)}


def learnt(config: dict[str, Any], threads: int | None = None) -> dict[str, Any]:
    """What a trial stores of what it learnt: its figures but for those of a clock, and its weights."""
    answer = train.trial(config, overrides=[], threads=threads)
    aside = ("train/fraction_of_peak", "train/peak_bytes")
    figures = {name: value for name, value in answer["metrics"].items() if not is_timed(name)}
    weights = hashlib.sha256((Path(answer["folder"]) / "weights.pt").read_bytes()).hexdigest()
    kept = {name: value for name, value in figures.items() if name not in aside}
    return kept | {"weights": weights, "confusion": answer["facts"]["confusion"]}


SMALL = ("model.width=8", "budget.steps=20", "data.batch_size=32", "callbacks.divergence.window=5")


@pytest.fixture(scope="module")
def usual(training: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("usual")
    own = [f"store.url=sqlite:///{folder}/lab.db", f"root={folder}/runs", "logger=none", *SMALL]
    return learnt(deepcopy(training.resolve(own).config))


@pytest.mark.slow
@pytest.mark.parametrize("dotted", SILENT)
def test_what_is_not_in_the_identity_changes_no_figure_by_a_bit(
    resolve: Callable[..., Any],
    usual: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dotted: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    value = SILENT[dotted]
    here = list(SMALL)
    if dotted in ("data.cache", "data.memory_bytes", "data.workers"):  # which only own data has
        here += own_data.line("table", tmp_path)
        usual = learnt(resolve(*here))
        here.append("force=true")
    config = having(resolve(*here), dotted, value.format(tmp_path) if isinstance(value, str) else value)
    assert learnt(config) == usual


@pytest.mark.slow
def test_a_seed_changes_figures_so_that_equal_ones_mean_something(
    resolve: Callable[..., Any], usual: dict[str, Any]
) -> None:
    other = learnt(resolve(*SMALL, "seed=1"))
    assert other.keys() == usual.keys() and other["weights"] != usual["weights"]
    assert other["test/loss"] != usual["test/loss"]


@pytest.mark.slow
def test_figures_of_other_threads_are_told_apart(resolve: Callable[..., Any], tmp_path: Path) -> None:
    for threads in (1, 2):
        config = resolve(*SMALL) | {"force": True}
        launcher = config["launcher"] | {"threads": threads}
        train.trial(config | {"launcher": launcher}, overrides=[], threads=threads)
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    rows = store.trials()
    results = store.results([row.id for row in rows])
    store.close()
    assert [results[row.id].facts["threads"] for row in rows] == [1, 2]
    # Whether this machine left them alone meanwhile is another reason, and comes first.
    alone = {
        number: result.model_copy(update={"facts": result.facts | {"disturbed": {}}})
        for number, result in results.items()
    }
    assert "launcher.threads" in (comparable("train/cpu_seconds", rows, alone) or "")
