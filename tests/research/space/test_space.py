"""Space beyond its verdicts: points, predicted cost, identity, vocabulary, lists of options."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from refusal import Refusal
from research.space.gate import Space

GATE = Path(__file__).parents[2] / "gate"
SPACE = Space(GATE / "conf", GATE / "space.yaml")
SETS = [json.loads(line) for line in (GATE / "sets.jsonl").read_text().splitlines()]
GOOD_SETS = [entry["overrides"] for entry in SETS if entry["expected"] == "accept"]
SWEEPS = ["optimizer.lr=1e-4,3e-4", "seed=range(5)", "model.hidden=[64,64],[8]", 'optimizer="adam",lion']


def test_what_the_harness_fixed_is_not_an_agents_to_turn() -> None:
    assert SPACE.check(["model=mlp"], given=["model=transformer"]) == [
        "model is fixed by the goal: leave it out."
    ]
    assert SPACE.check(["model.heads=4"], given=["model=transformer"]) == []
    assert "does not exist with model=mlp" in SPACE.check(["model.heads=4"])[0]


def test_predicted_cost_is_asked_last_and_for_all_points_at_once() -> None:
    asked: list[int] = []

    def predict(configs: Any) -> str | None:
        asked.append(len(configs))
        return "That would take 9 hours: sweep less." if len(configs) > 2 else None

    assert SPACE.check(["optimizer.lr=1e-3,1e-4"], predict) == []
    assert SPACE.check(["seed=1,2,3"], predict) == ["That would take 9 hours: sweep less."]
    assert SPACE.check(["seed=-1"], predict) != [] and asked == [2, 3]
    careful = Space(GATE / "conf", GATE / "space.yaml", budget=predict)
    assert careful.check(["seed=1,2,3"]) == ["That would take 9 hours: sweep less."]


@pytest.mark.parametrize("overrides", [*GOOD_SETS, *([sweep] for sweep in SWEEPS)], ids=str)
def test_accepted_proposals_expand_to_points_that_resolve(overrides: list[str]) -> None:
    points = SPACE.expand(overrides)
    assert points and all("seed" in SPACE.resolve(point) and SPACE.check(point) == [] for point in points)


def test_the_last_axis_is_the_fastest_and_values_keep_their_spelling() -> None:
    points = SPACE.expand(["optimizer=adam,lion", "seed=range(2)", "name='a, b'"])
    assert points[1] == ["optimizer=adam", "seed=1", "name='a, b'"] and len(points) == 4


def test_people_sweep_with_all_that_hydra_has() -> None:
    assert SPACE.expand(["optimizer=glob(ad*)"]) == [["optimizer=adam"], ["optimizer=adamw"]]
    assert SPACE.expand(["seed=sort(3,1,2)"]) == [["seed=1"], ["seed=2"], ["seed=3"]]
    assert SPACE.expand(["+model=cnn,mlp"]) == [["+model=cnn"], ["+model=mlp"]]
    assert SPACE.expand(["optimizer.lr=range(0,1,0.5)"]) == [["optimizer.lr=0.0"], ["optimizer.lr=0.5"]]


@pytest.mark.parametrize("text", ["seed=range(0,10000000000)", "seed=interval(0,1)", "lr=range(0,1,1e-300)"])
def test_an_endless_sweep_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        SPACE.expand([text])


def test_the_signature_is_of_what_can_change_the_result() -> None:
    base = SPACE.signature(SPACE.resolve([]))
    same = [
        ["name=x"],
        ["tags=[a]"],
        ["paths.root=/elsewhere"],
        ["optimizer=adam"],
        ["model.dropout=0"],
        ["seed=0"],
    ]
    other = [
        ["seed=1"],
        ["optimizer=lion"],
        ["model.width=65"],
        ["trainer.max_epochs=9"],
        ["model.activation='0'"],
    ]
    assert all(SPACE.signature(SPACE.resolve(overrides)) == base for overrides in same)
    found = {SPACE.signature(SPACE.resolve(overrides)) for overrides in other}
    assert len(found) == len(other) and base not in found


def test_the_signature_does_not_depend_on_order_or_process() -> None:
    config = SPACE.resolve(["optimizer=lion", "seed=3"])
    assert SPACE.signature(dict(reversed(config.items()))) == SPACE.signature(config)
    assert (
        SPACE.signature({"b": [1.0, None, True], "a": "é"})
        == hashlib.sha256(rb'{"a":"\u00e9","b":[1,null,true]}').hexdigest()
    )


def test_the_signature_leaves_the_config_alone() -> None:
    config = SPACE.resolve([])
    before = json.dumps(config)
    SPACE.signature(config)
    assert json.dumps(config) == before


def test_the_vocabulary_says_everything_that_may_be_turned() -> None:
    words = SPACE.vocabulary()
    schema_groups = {"model", "optimizer", "scheduler", "data", "loss", "trainer"}
    assert set(words["groups"]) == schema_groups and words["groups"]["model"]["default"] == "mlp"
    assert set(words["groups"]["optimizer"]["options"]) == {"adam", "adamw", "lion", "sgd"}
    rate = words["keys"]["optimizer.lr"]
    assert (rate["type"], rate["scale"], rate["low"], rate["high"], rate["default"]) == (
        "float",
        "log",
        1e-8,
        10.0,
        1e-3,
    )
    assert rate["group"] == "optimizer" and set(rate["per"]) == set(words["groups"]["optimizer"]["options"])
    heads = words["keys"]["model.heads"]
    assert heads["per"] == {"transformer": {"default": 4}} and heads["default"] is None
    assert words["keys"]["seed"]["group"] is None and words["keys"]["seed"]["per"] == {}
    assert words["keys"]["model.activation"]["of"] == ("relu", "gelu", "silu", "tanh")
    assert "-Infinity" not in json.dumps(words, allow_nan=False), "it goes into prompts"


def test_a_space_file_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    text = (GATE / "space.yaml").read_text()
    for old, new, says in [
        ("options: [cnn, mlp", "options: [vit, mlp", "option vit of model"),
        ("  loss: {options: [ce, mse]", "  losses: {options: []", "group losses"),
        ("root: config", "root: train", "train.yaml"),
    ]:
        (tmp_path / "space.yaml").write_text(text.replace(old, new))
        with pytest.raises(Refusal, match=says):
            Space(GATE / "conf", tmp_path / "space.yaml")


LISTS = """
root: root
groups: {compress: {several: true}}
keys: {compress.prune.share: {type: float, low: 0, high: 1}}
"""


def test_a_group_of_several_options_takes_lists_of_them(tmp_path: Path) -> None:
    for name, content in {
        "root": "defaults: [_self_, compress: [], optimizer: x]\nseed: 0\n",
        "compress/prune": "prune: {share: 0.5}\n",
        "compress/quantize": "quantize: {bits: 8}\n",
        "optimizer/x": "lr: 1\n",
        "space": LISTS,
    }.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    space = Space(tmp_path, tmp_path / "space.yaml")
    for good in (
        "[prune,quantize]",
        "[quantize,prune]",
        "[]",
        "prune",
        "[prune],[quantize]",
        "[prune],[prune,quantize]",
    ):
        assert space.check([f"compress={good}"]) == [], good
    for bad in ("[prune,prune]", "[nope]", "[prune,[quantize]]", "null", "{prune:1}", "[../space]"):
        assert space.check([f"compress={bad}"]) != [], bad
    assert space.check(["compress=[quantize,prune]", "compress.prune.share=0.1"]) == []
    assert space.check(["compress.prune.share=0.1"]) == [
        "compress.prune.share does not exist with compress=[]: it does with compress=prune."
    ]
    assert space.check(["optimizer=x"]) != [], "a group that the file does not list"
    assert list(space.resolve(["compress=[quantize,prune]"])["compress"]) == ["quantize", "prune"]
    assert space.vocabulary()["keys"]["compress.prune.share"]["per"] == {"prune": {"default": 0.5}}


def test_options_that_only_people_choose_are_refused_but_may_be_given(tmp_path: Path) -> None:
    text = (
        (GATE / "space.yaml")
        .read_text()
        .replace("{options: [cnn, mlp", "{without: [cnn], options: [cnn, mlp")
    )
    assert "without" in text
    (tmp_path / "space.yaml").write_text(text)
    space = Space(GATE / "conf", tmp_path / "space.yaml")
    assert space.check(["model=cnn"]) and space.check(["model=mlp"]) == []
    assert space.check(["optimizer=lion"], given=["model=cnn"]) == []
    (tmp_path / "space.yaml").write_text(text.replace("without: [cnn]", "without: [vit]"))
    with pytest.raises(Refusal, match="option vit of model"):
        Space(GATE / "conf", tmp_path / "space.yaml")


def test_a_list_of_options_is_not_longer_than_the_group_says(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "steps").mkdir(exist_ok=True)
        (tmp_path / "steps" / f"{name}.yaml").write_text(f"{name}: {{}}\n")
    (tmp_path / "root.yaml").write_text("defaults: [_self_, steps: []]\n")
    (tmp_path / "space.yaml").write_text("root: root\ngroups: {steps: {several: true, most: 2}}\nkeys: {}\n")
    space = Space(tmp_path, tmp_path / "space.yaml")
    assert space.check(["steps=[a,b]"]) == [] and space.check(["steps=[],[a],[b,c]"]) == []
    (complaint,) = space.check(["steps=[a,b,c]"])
    assert "at most 2" in complaint
