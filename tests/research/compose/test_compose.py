"""A point resolved from merged files equals Hydra's own compose, and refusals say what to type."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from omegaconf import OmegaConf

import own_nets
from cases import each
from refusal import Refusal
from research.compose import compose as module
from research.compose.compose import Composer
from research.compose.trees import Unusual
from research.space.signature import signature, steps_of

ROOT = Path(__file__).parents[3]
GATE = ROOT / "tests" / "gate" / "conf"
TREE = {
    "root.yaml": """
defaults:
  - _self_
  - model: small
  - optimizer: adam
  - extras: [first]
  - nothing: null
  - optional local: absent
  - recipe: none
  - override hydra/job_logging: none
seed: 0
name: null
tags: []
size: ${model.width}
text: ${name}-${seed}-${optimizer.lr}
nested: {deep: {list: [1, 2, {x: "${seed}"}], up: "${...seed}", same: "${.list}"}}
hydra: {run: {dir: .}}
""",
    "model/small.yaml": "# Small.\nwidth: 8\nhalf: ${.width}\nnorm: {eps: 1e-5}\n",
    "model/large.yaml": "# Large: small, wider.\ndefaults: [small, _self_]\nwidth: 64\ndepth: 2\n",
    "model/normed.yaml": "# With an option of its own.\ndefaults: [norm: batch]\nwidth: 4\n",
    "model/norm/batch.yaml": "eps: 1e-3\nmomentum: 0.1\n",
    "model/norm/none.yaml": "{}\n",
    "optimizer/adam.yaml": "lr: 1e-3\nbetas: [0.9, 0.999]\n",
    "optimizer/lion.yaml": "lr: 1e-4\nbetas: [0.9, 0.99]\ncautious: false\n",
    "extras/first.yaml": "first: {a: 1, shared: 1}\n",
    "extras/second.yaml": 'second: {b: "${seed}"}\nfirst: {shared: 2}\n',
    "extras/absolute.yaml": "# @package elsewhere.inside\n# It lands where its header says.\nc: 3\n",
    "nothing/something.yaml": "x: 1\n",
    "local/here.yaml": "y: 1\n",
    "recipe/none.yaml": "# @package _global_\n# No recipe.\n",
    "recipe/wide.yaml": """# @package _global_
# A recipe: choices and a value.
defaults:
  - override /model: large
  - override /optimizer: lion
  - override /extras: [second, first]
seed: 7
model: {depth: 3}
""",
    "recipe/plain.yaml": "# @package _global_\ndefaults: [override /model: normed, _self_]\ntags: [x]\n",
}
SETS = [
    [],
    ["model=large"],
    ["model=normed"],
    ["model=normed", "model/norm=none"],
    ["recipe=wide"],
    ["recipe=wide", "optimizer=adam"],
    ["recipe=wide", "model=small", "model.norm.eps=3"],
    ["recipe=plain", "extras=[]", "model.norm.momentum=0.5"],
    ["extras=[second,first]"],
    ["extras=[first,second]", "extras.first.shared=${seed}"],
    ["extras=second", "extras.second.b=null"],
    ["extras=[absolute,first]", "elsewhere.inside.c=4"],
    ["nothing=something", "nothing.x=2"],
    ["local=here"],
    ["optimizer=lion", "optimizer.betas=[0.5,0.6]", "optimizer.cautious=true"],
    ["name='a, b'", "seed=3", "tags=[a,'b c',1]"],
    ["name=a\\,b", "text=plain", "size=9"],
    ["name=${oc.select:seed}", "seed=4", "seed=5"],
    ["optimizer=adam", "optimizer=lion"],
    ["model.norm=5", "nested.deep.list=[]"],
    ["nested.deep.list.2.x=9"],
    ["nested={deep:{up:3}}"],
    ["+new=1", "seed=2"],
    ["++optimizer.lr=5", "+optimizer.extra={a:1}"],
    ["~tags", "~model.norm"],
    ["~recipe"],
    ["hydra.verbose=true", "seed=3"],
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    for name, text in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def composer(tree: Path) -> Composer:
    return Composer(tree, "root")


def hydras(folder: Path, root: str, sets: list[list[str]]) -> Iterator[dict[str, Any]]:
    with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
        for overrides in sets:
            yield OmegaConf.to_container(compose(root, overrides), resolve=True)  # type: ignore[misc]


@pytest.mark.slow
@each("overrides", SETS, ids=" ".join)
def test_every_form_gives_what_hydra_gives(tree: Path, composer: Composer, overrides: list[str]) -> None:
    assert [composer.resolve(overrides).config] == list(hydras(tree, "root", [overrides]))


def test_a_recipe_tells_which_options_it_chose(composer: Composer) -> None:
    choices = composer.resolve(["recipe=wide", "optimizer=adam"]).choices
    assert (choices["model"], choices["optimizer"]) == ("large", "adam")
    assert choices["extras"] == ("second", "first") and choices["nothing"] is None


def test_a_plus_before_a_group_of_the_defaults_list_is_heard_as_without(composer: Composer) -> None:
    assert composer.resolve(["+recipe=wide"]) == composer.resolve(["recipe=wide"])


def drawn(composer: Composer, draw: random.Random) -> list[str]:
    """A random set of options and of values at keys that these options have."""
    groups = {group: {*composer.files.options(group)} - own_nets.BROUGHT for group in composer.chosen}
    chosen = {group: draw.choice(sorted(names)) for group, names in groups.items() if draw.random() < 0.6}
    tree = composer.composed(chosen).tree
    numbers = [
        f"{group}.{key}"
        for group in composer.chosen
        for key, value in (tree.get(group) or {}).items()
        if type(value) in (int, float)
    ]
    values = [f"{key}={draw.randrange(1, 99)}" for key in draw.sample(numbers, min(3, len(numbers)))]
    return [f"{group}={option}" for group, option in chosen.items()] + values


def assert_random_points_equal_hydras(folder: Path, root: str, count: int) -> None:
    composer, draw = Composer(folder, root), random.Random(count)
    sets = [drawn(composer, draw) for _ in range(count)]
    for overrides, theirs in zip(sets, hydras(folder, root, sets), strict=True):
        assert composer.resolve(overrides).config == theirs, overrides


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "root"), [(GATE, "config"), (ROOT / "conf", "train")])
def test_random_points_equal_hydras(folder: Path, root: str) -> None:
    """Two of the thousand that benchmarks/resolve.py compares."""
    assert_random_points_equal_hydras(folder, root, 2)


@pytest.mark.slow
def test_many_random_points_equal_hydras() -> None:
    assert_random_points_equal_hydras(ROOT / "conf", "train", 60)


@pytest.mark.parametrize("root", ["train", "agent"])
def test_no_file_of_ours_needs_hydra_to_compose(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusual form in a defaults list would make every new combination cost 100 ms."""
    monkeypatch.setattr(module, "compose", lambda *_: pytest.fail("Hydra was asked"))
    composer = Composer(ROOT / "conf", root)
    for group in composer.chosen:
        for option in composer.files.options(group):
            many = isinstance(composer.composed({}).choices[group], tuple)
            composer.composed({group: (option,) if many else option})


UNUSUAL = {
    "package": ("defaults: [_self_, group@here: x]\n", "a: 1\n"),
    "interpolation": ("defaults: [_self_, {group: '${other}'}, {other: x}]\n", "a: 1\n"),
    "missing value": ("defaults: [_self_, group: x]\ngroup: {a: 5}\n", "a: ???\nb: 1\n"),
}


@pytest.mark.parametrize("form", UNUSUAL)
def test_unusual_defaults_lists_are_left_to_hydra(tmp_path: Path, form: str) -> None:
    root, option = UNUSUAL[form]
    (tmp_path / "root.yaml").write_text(root + "seed: 0\n")
    for group in ("group", "other"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "x.yaml").write_text(option)
    (theirs,) = hydras(tmp_path, "root", [["seed=3"]])
    if "???" in str(theirs):
        with pytest.raises(Refusal, match="must be set"):
            Composer(tmp_path, "root").resolve(["seed=3"])
    else:
        assert Composer(tmp_path, "root").resolve(["seed=3"]).config == theirs


@each(
    ("overrides", "says"),
    [
        (["model=nope"], "choose one of large, normed, small"),
        (["model=../optimizer/adam"], "name of an option"),
        (["model=1"], "name of an option"),
        (["model=null"], "name of an option"),
        (["sead=1"], "'sead' is not a key"),
        (["model.depth=1"], "'model.depth' is not a key"),
        (["seed.x=1"], "seed holds a value"),
        (["seed=1,2"], "add -m"),
        (["seed=range(3)"], "add -m"),
        (["seed=shuffle(1,2)"], "add -m"),
        (["seed"], "is not an override"),
        (["a=b=c"], "is not an override"),
        (["name=${oc.env:HOME}"], "from the config itself"),
        (["seed=???"], "seed must be set"),
        (["~nope"], "Hydra cannot compose"),
        (["model/nope=x"], "Hydra cannot compose"),
    ],
)
def test_what_cannot_be_resolved_is_refused_with_a_sentence(
    composer: Composer, overrides: list[str], says: str
) -> None:
    with pytest.raises(Refusal, match=says) as refused:
        composer.resolve(overrides)
    assert "\n" not in str(refused.value) and "use +" not in str(refused.value)


def test_a_point_cannot_change_another(composer: Composer) -> None:
    first = composer.resolve([])
    first.config["tags"].append("x")
    first.config["model"]["norm"]["eps"] = 9
    assert composer.resolve([]).config["tags"] == []
    assert composer.resolve(["seed=1"]).config["model"]["norm"]["eps"] == 1e-5


def test_hydra_may_be_running_already(tree: Path, composer: Composer) -> None:
    with initialize_config_dir(str(GATE.resolve()), job_name="outer", version_base="1.3"):
        assert composer.resolve(["+new=1"]).config["new"] == 1
        assert compose("config").trainer.max_epochs == 10 and JobRuntime.instance().get("name") == "outer"
    assert not GlobalHydra.instance().is_initialized()


def test_folders_and_roots_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no config folder"):
        Composer(tmp_path / "none", "root")
    with pytest.raises(Refusal, match=r"root\.yaml"):
        Composer(tmp_path, "root")


@pytest.mark.parametrize(
    "entry", ["group: {a: 1}", "group: [1]", "{a: x, b: y}", "1", "experimental group: x"]
)
def test_a_wrong_defaults_list_is_never_guessed(
    tmp_path: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root.yaml").write_text(f"defaults: [{entry}]\n")
    asked: list[str] = []

    def hydra(*_: Any) -> Callable[..., Any]:
        asked.append("hydra")
        raise Unusual

    monkeypatch.setattr(module, "compose", hydra)
    with pytest.raises(Unusual):
        Composer(tmp_path, "root")
    assert asked


COMPRESSIONS = [
    ["compress=[]"],
    ["compress=prune50"],
    ["compress=[prune50,distill_self]"],
    ["compress=[distill_self,prune50]", "compress.prune50.sparsity=0.6"],
]


@pytest.mark.parametrize("overrides", COMPRESSIONS, ids=str)
def test_steps_of_a_compression_are_composed_in_their_order_as_hydra_does(overrides: list[str]) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        theirs = OmegaConf.to_container(compose("train", overrides), resolve=True)
    ours = Composer(ROOT / "conf", "train").resolve(overrides).config
    assert ours == theirs and list(ours.get("compress", {})) == list(theirs.get("compress", {}))


def test_the_order_of_compression_is_part_of_an_identity_and_no_other_order_is() -> None:
    composer = Composer(ROOT / "conf", "train")

    def signed(*overrides: str) -> str:
        return signature(composer.resolve(overrides).config)

    there, back = "compress=[prune50,distill_self]", "compress=[distill_self,prune50]"
    assert signed(there) != signed(back) and signed(there) == signed(there, "seed=0")
    assert signed("compress=[]") == signed() != signed("compress=prune50") == signed("compress=[prune50]")
    assert signed("callbacks=[divergence,checkpoint]") == signed("callbacks=[checkpoint,divergence]")
    config = composer.resolve([there]).config
    inside = {name: dict(reversed(step.items())) for name, step in steps_of(config).items()}
    assert signature(dict(reversed(config.items())) | {"compress": inside}) == signature(config)
