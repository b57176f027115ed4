"""Goals in words: what they mean, what is refused, and that no text crashes or costs time."""

from pathlib import Path

import pytest

from cases import each
from refusal import Refusal
from research import metrics
from research.goal.goal import Goal, read
from research.metrics import rank, screening_objective
from research.types import Objective

OWN = Path(__file__).parents[3] / "conf"

TASKS = {
    "data": dict.fromkeys(
        ("digits", "mnist", "mnist1d", "fashion_mnist", "cifar10", "cifar100"), "classification"
    )
    | {"pytext": "language", "mqar": "recall"},
    "model": dict.fromkeys(("linear", "mlp", "cnn", "gru", "transformer", "gpt"), ""),
}


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    for group, options in TASKS.items():
        (folder / group).mkdir()
        for option, task in options.items():
            (folder / group / f"{option}.yaml").write_text(f"task: {task}\n")
    return folder


def short(goal: Goal) -> tuple[str, str, list[str], tuple[str, ...]]:
    asked = goal.objective
    return asked.metric, asked.direction, [one.words for one in asked.constraints], goal.overrides


ENERGY, ACCURACY = "train/energy_j", "test/accuracy"
UNDERSTOOD = {
    "90 % accuracy for fewer joules": (ENERGY, "min", ["test/accuracy >= 0.9"], ()),
    ">= 0.97 accuracy": (ACCURACY, "max", ["test/accuracy >= 0.97"], ()),
    "97 accuracy": (ACCURACY, "max", ["test/accuracy >= 0.97"], ()),
    "under 50k parameters": (ACCURACY, "max", ["size/parameters <= 50000"], ()),
    "parameters < 50,000": (ACCURACY, "max", ["size/parameters <= 50000"], ()),
    "fewer joules": (ENERGY, "min", [], ()),
    "Create a CNN for MNIST classification": (ACCURACY, "max", [], ("data=mnist", "model=cnn")),
    "Design a CNN for CIFAR-10 with >75% accuracy": (
        ACCURACY,
        "max",
        ["test/accuracy >= 0.75"],
        ("data=cifar10", "model=cnn"),
    ),
    "Design an efficient Vision Transformer for CIFAR-100 with <1M parameters and >80% accuracy": (
        ENERGY,
        "min",
        ["size/parameters <= 1000000", "test/accuracy >= 0.8"],
        ("data=cifar100", "model=transformer"),
    ),
    "fastest inference": ("infer/latency_s_p50", "min", [], ()),
    "fastest training at 90 % accuracy": ("train/seconds", "min", ["test/accuracy >= 0.9"], ()),
    "smallest model above 95 %": ("size/bytes", "min", ["test/accuracy >= 0.95"], ()),
    "the fewest parameters with 95 percent accuracy": (
        "size/parameters",
        "min",
        ["test/accuracy >= 0.95"],
        (),
    ),
    "fewer FLOPs at >= 90 % accuracy on mnist1d": (
        "compute/flops_forward",
        "min",
        ["test/accuracy >= 0.9"],
        ("data=mnist1d",),
    ),
    "less CO2, accuracy of 90 %": ("train/co2_kg", "min", ["test/accuracy >= 0.9"], ()),
    "fewest joules to 2.5 bits per byte with a byte GPT": (
        ENERGY,
        "min",
        ["test/bits_per_byte <= 2.5"],
        ("data=pytext", "model=gpt"),
    ),
    "Train a GPT on python code": ("test/bits_per_byte", "min", [], ("data=pytext", "model=gpt")),
    "a transformer for associative recall": (ACCURACY, "max", [], ("data=mqar", "model=gpt")),
    "minimise latency on Fashion-MNIST with a CNN, accuracy ≥ 0,85": (
        "infer/latency_s_p50",
        "min",
        ["test/accuracy >= 0.85"],
        ("data=fashion_mnist", "model=cnn"),
    ),
    "at most 0.5 mJ per inference with 95 % accuracy": (
        ACCURACY,
        "max",
        ["infer/energy_j_per_sample <= 0.0005", "test/accuracy >= 0.95"],
        (),
    ),
    "latency under 2 ms, size below 100 kB, highest accuracy": (
        ACCURACY,
        "max",
        ["infer/latency_s_p50 <= 0.002", "size/bytes <= 100000"],
        (),
    ),
    "highest accuracy within 5 kJ": (ACCURACY, "max", ["train/energy_j <= 5000"], ()),
    "improve F1 on digits under 10 J": ("test/f1", "max", ["train/energy_j <= 10"], ("data=digits",)),
    "maximize throughput above 90% accuracy": (
        "infer/samples_per_second",
        "max",
        ["test/accuracy >= 0.9"],
        (),
    ),
    "test/accuracy>=0.9 for the lowest train/energy_j": (ENERGY, "min", ["test/accuracy >= 0.9"], ()),
    "lowest latency at 90 % accuracy on a GPU": (
        "infer/latency_s_p50",
        "min",
        ["test/accuracy >= 0.9"],
        ("trainer=gpu",),
    ),
    "accuracy at least 80 % and accuracy over 90 %": (ACCURACY, "max", ["test/accuracy >= 0.9"], ()),
}


@each("text", UNDERSTOOD)
def test_understood(text: str, conf: Path) -> None:
    assert short(read(text, conf)) == UNDERSTOOD[text]


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("20 % fewer joules at 95% accuracy", 0.2),
        ("half the energy with accuracy >= 0.95", 0.5),
        ("reduce energy by 30 % and keep accuracy above 95 %", 0.3),
        ("95 % accuracy with 4x fewer joules", 0.75),
    ],
)
def test_a_share_of_a_cost_is_an_effect_and_no_accuracy(text: str, effect: float, conf: Path) -> None:
    goal = read(text, conf)
    assert short(goal)[:3] == (ENERGY, "min", ["test/accuracy >= 0.95"])
    assert goal.smallest_effect == pytest.approx(effect)


REFUSED = {
    "": "empty",
    "   ": "empty",
    "do something nice": "not understood",
    "make me a sandwich": "'sandwich' in the goal was not understood",
    "a robust CNN for digits": "a goal that is understood is 'on digits, with cnn'",
    "best accuracy for fewer joules": "two things at once",
    "same accuracy for fewer joules": "names no figure",
    "accuracy >= 0.9 and accuracy <= 0.8": "an upper bound on what should be high",
    "more joules": "objective.direction=max",
    "accuracy > 1.5": "between 0 and 1",
    "under 0 parameters": "never",
    "under 1e999 parameters": "can ever decide",
    "MNIST and CIFAR-10 with a CNN": "one data at a time",
    "an MLP and a CNN for fewer joules": "one model at a time",
    "ImageNet in fewer joules": "ImageNet",
    "Create a CNN for imagenet classification": "imagenet",
    "a ResNet-50 for digits": "ResNet-50",
    "a CNN for CIFAR-10.1": "CIFAR-10.1",
    "between 80 and 90 % accuracy": "is a range",
    "20 J less": "no share of a cost",
    "fewer joules " * 100: "at most 1000",
}


@each("text", REFUSED)
def test_refused_with_a_sentence_that_helps(text: str, conf: Path) -> None:
    with pytest.raises(Refusal, match=REFUSED[text]):
        read(text, conf)


def test_data_that_the_configuration_lacks_is_named(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.yaml").write_text("task: classification\n")
    with pytest.raises(Refusal, match="conf/data has no such option: it has digits"):
        read("a CNN for MNIST", tmp_path)


def test_a_new_option_is_understood_by_its_own_name(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tree_rings.yaml").write_text("task: classification\n")
    assert read("90 % accuracy on tree rings", tmp_path).overrides == ("data=tree_rings",)


def test_explicit_keys_win_over_words(conf: Path) -> None:
    goal = read("90 % accuracy for fewer joules", conf, metric="size/bytes", constraints=["accuracy >= 0.8"])
    assert short(goal)[:3] == ("size/bytes", "min", ["test/accuracy >= 0.8"])
    assert read("", conf, metric="stability/spikes", direction="min").objective.direction == "min"
    assert read("fewer joules", conf, direction="max").objective.direction == "max"
    assert read("90 % accuracy for fewer joules", conf, constraints=[]).objective.constraints == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "test/beauty"},
        {"direction": "sideways"},
        {"constraints": ["be nice"]},
        {"constraints": ["accuracy >= 0.9, under 50k parameters"]},
    ],
)
def test_wrong_explicit_keys_are_refused(wrong: dict, conf: Path) -> None:
    with pytest.raises(Refusal):
        read("fewer joules", conf, **wrong)


def test_a_wrong_bound_is_told_with_the_words_that_are_wrong(conf: Path) -> None:
    with pytest.raises(
        Refusal, match=r"'be nice' was not understood \('nice' in the goal was not understood"
    ):
        read("fewer joules", conf, constraints=["be nice"])


def test_what_a_person_fixed_wins_over_what_the_words_name(conf: Path) -> None:
    assert read("a CNN for MNIST", conf, fixed=["data=digits"]).overrides == ("model=cnn",)
    goal = read("fewer joules", conf, fixed=["data=pytext"])
    assert goal.overrides == ("model=gpt",)


def test_rank_prefers_what_keeps_the_bounds_and_survives_missing_figures() -> None:
    goal = Objective.model_validate(
        {
            "metric": "train/energy_j",
            "direction": "min",
            "constraints": [{"metric": "test/accuracy", "op": ">=", "bound": 0.9}],
        }
    )
    asked = screening_objective(goal)
    assert asked.constraints[0].metric == "val/accuracy"
    good = {"train/energy_j": 3.0, "val/accuracy": 0.91}
    dear = {"train/energy_j": 9.0, "val/accuracy": 0.99}
    weak = {"train/energy_j": 1.0, "val/accuracy": 0.5}
    lost = {"val/accuracy": 0.99}
    nan = {"train/energy_j": 1.0, "val/accuracy": float("nan")}
    order = sorted([lost, nan, weak, dear, good], key=lambda one: rank(asked, one))
    assert order[:3] == [good, dear, weak]


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("F1 above 0.9 on pytext for fewer joules", "test/f1"),
        ("improve AUROC on mqar", "test/auroc"),
        ("bits per byte below 3 on digits", "test/bits_per_byte"),
    ],
)
def test_a_score_of_another_task_is_refused_before_anything_runs(text: str, metric: str, conf: Path) -> None:
    with pytest.raises(Refusal, match=f"{metric}.*is measured for"):
        read(text, conf)


def test_every_detailed_score_has_its_twin_in_screening() -> None:
    for name in ("f1", "precision", "recall", "auroc"):
        assert metrics.screening(f"test/{name}") == f"val/{name}"
        assert metrics.elsewhere(f"val/{name}", "classification") is None
        assert metrics.elsewhere(f"val/{name}", "recall") == "classification"
    assert metrics.elsewhere("train/recall", "language") is None


@pytest.mark.parametrize(
    ("text", "metric", "bounds", "effect"),
    [
        ("lowest RMSE", "test/rmse", [], 0.0),
        ("reduce the root mean squared error by 0.5", "test/rmse", [], 0.5),
        ("mean absolute error under 2 with the fewest parameters", "size/parameters", ["test/mae <= 2"], 0.0),
        ("R2 of at least 0.8, fewest joules", "train/energy_j", ["test/r2 >= 0.8"], 0.0),
        ("at most 10 % more RMSE, best R2", "test/r2", ["test/rmse <= 1.1 * control"], 0.0),
    ],
)
def test_a_table_of_numbers_has_scores_of_its_own(
    text: str, metric: str, bounds: list[str], effect: float, tmp_path: Path
) -> None:
    table = tmp_path / "numbers.csv"
    table.write_text("a,y\n" + "".join(f"{row},{row % 37 + 0.5}\n" for row in range(200)))
    goal = read(text, OWN, fixed=("data=table", f"data.path={table}", "data.target=y"))
    asked = goal.objective
    assert (asked.metric, [bound.words for bound in asked.constraints]) == (metric, bounds)
    assert goal.smallest_effect == effect
    with pytest.raises(Refusal, match="measured for regression"):
        read(text, OWN)
