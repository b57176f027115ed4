"""The gate on config trees of other people: nested groups, what nobody has set, odd names, units."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cases import each
from refusal import Refusal
from research.space.gate import Space

NESTED = {
    "root": "defaults: [_self_, net: normed, solver: fast, extra: null]\nseed: 0\n",
    "net/plain": "width: 8\n",
    "net/normed": "defaults: [norm: batch]\nwidth: 4\n",
    "net/norm/batch": "eps: 1e-3\nmomentum: 0.1\n",
    "net/norm/layer": "eps: 1e-5\n",
    "solver/fast": "rate: 0.1\ntime: 10s\n",
    "solver/slow": "rate: ???\ntime: 2min\nlimit: ${.rate}\n",
    "extra/one": "x: 1\n",
    "space": """
root: root
groups: {net: {}, net/norm: {}, solver: {}, extra: {options: []}}
keys:
  net.width: {type: int, low: 1, high: 64, per: {normed: {high: 8}}}
  net.norm.eps: {type: float, low: 1e-6, high: 0.1, per: {layer: {high: 0.01}}}
  net.norm.momentum: {type: float, low: 0, high: 1}
  solver.rate: {type: float, low: 0.001, high: 1, per: {slow: {high: 0.05}}}
  solver.time: {type: text, pattern: "[1-9][0-9]{0,3}(s|min|h)", unit: a number and s or min or h}
""",
}
CHOOSE = {
    "root": 'defaults: [_self_, net: "???", size: "16"]\nseed: 0\n',
    "net/a": "width: 8\n",
    "net/null": "depth: 2\n",
    "size/16": "bits: 16\n",
    "size/32": "bits: 32\nlarge: true\n",
    "space": """
root: root
groups: {net: {}, size: {}}
keys: {net.width: {type: int, low: 1, high: 64}, size.large: {type: bool}}
""",
}
FLAT = {
    "root": "rate: 0.1\nsize: 5\nflag: true\n",
    "space": "{root: root, groups: {}, keys: {rate: {type: float, low: 0, high: 1}, "
    "flag: {type: bool}, size: {type: enum, of: [5, 10, big]}}}",
}
TREES = {"nested": NESTED, "choose": CHOOSE, "flat": FLAT}


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Space]:
    made = {}
    for name, files in TREES.items():
        folder = tmp_path_factory.mktemp(name)
        for file, text in files.items():
            path = folder / ("conf" if file != "space" else "") / f"{file}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made[name] = Space(folder / "conf", folder / "space.yaml")
    return made


ACCEPTED = [
    ("nested", "net/norm=layer"),
    ("nested", "net/norm=batch,layer net.norm.eps=0.01"),
    ("nested", "net=plain net.width=9"),
    ("nested", "net.norm.momentum=0.5 solver.time=30s"),
    ("nested", "solver=slow solver.rate=0.05"),
    ("nested", "net/norm='layer' solver.time=1h,2min"),
    ("choose", "net=a net.width=9"),
    ("choose", "net='null' size='32' size.large=false"),
    ("flat", "size=10 rate=0,1 flag=false"),
]
REFUSED = [
    ("nested", "net.width=9", "net.width with net=normed takes a whole number from 1 to 8; '9' is not."),
    ("nested", "net/norm=layer net.norm.eps=0.05", "net.norm.eps with net/norm=layer takes a number from"),
    ("nested", "net/norm=batch,layer net.norm.eps=0.05", "with net/norm=layer takes a number from"),
    ("nested", "net/norm=layer net.norm.momentum=0.5", "with net/norm=layer: it does with net/norm=batch."),
    ("nested", "net=plain net/norm=layer", "'net/norm' is not a group of root.yaml with these options"),
    ("nested", "net=plain net.norm.eps=0.05", "not exist with net=plain: it does with net=normed."),
    ("nested", "norm=layer", "Did you mean net/norm?"),
    ("nested", "solver=slow", "solver.rate must be set: type solver.rate=VALUE."),
    (
        "nested",
        "solver=slow net=plain net.norm.eps=0.05",
        "not exist with net=plain: it does with net=normed.",
    ),
    ("nested", "solver=fast,slow", "solver.rate must be set"),
    ("nested", "solver.time=30", "solver.time takes a text that matches"),
    ("nested", "extra=one", "extra has no option that may be chosen: leave it out."),
    ("choose", "", "net must be set: type net=VALUE."),
    ("choose", "net.width=9", "net.width does not exist before net is chosen: it does with net=a."),
    ("choose", "net=null", "net takes one of a, null; 'null' is not without quotes."),
    ("choose", "net=a size=32", "size takes one of 16, 32; '32' is not without quotes."),
    ("choose", "net=a size.large=true", "not exist with size=16: it does with size=32."),
    ("flat", "size='5'", "is not with quotes."),
    ("flat", "size=5.0", "size takes one of 5, 10, big; '5.0' is not."),
    ("flat", "RATE=1", "Did you mean rate?"),
]


@pytest.mark.parametrize(("tree", "typed"), ACCEPTED)
def test_what_such_a_tree_has_is_accepted_and_is_what_hydra_composes(
    spaces: dict[str, Space], tree: str, typed: str
) -> None:
    space = spaces[tree]
    assert space.check(typed.split()) == []
    with initialize_config_dir(str(space.composer.files.folder), version_base="1.3"):
        for point in space.expand(typed.split()):
            assert space.resolve(point) == OmegaConf.to_container(compose("root", point), resolve=True)


@each(("tree", "typed", "says"), REFUSED)
def test_what_it_does_not_have_is_refused_with_what_it_has(
    spaces: dict[str, Space], tree: str, typed: str, says: str
) -> None:
    complaints = spaces[tree].check(typed.split())
    assert says in " ".join(complaints)


def test_the_vocabulary_of_such_a_tree_says_null_where_nothing_is_chosen(spaces: dict[str, Space]) -> None:
    nested, choose = spaces["nested"].vocabulary(), spaces["choose"].vocabulary()
    assert nested["keys"]["net.norm.eps"]["group"] == "net/norm"
    assert nested["keys"]["net.norm.eps"]["per"] == {
        "batch": {"default": 1e-3},
        "layer": {"default": 1e-5, "high": 0.01},
    }
    assert nested["keys"]["solver.rate"]["per"]["slow"] == {"default": None, "high": 0.05}
    assert nested["groups"]["extra"] == {"help": "", "several": False, "default": None, "options": {}}
    assert choose["groups"]["net"]["default"] is None and choose["keys"]["net.width"]["default"] is None
    assert choose["keys"]["size.large"]["per"] == {"32": {"default": True}}


def test_people_are_told_as_well_what_they_must_choose(spaces: dict[str, Space]) -> None:
    with pytest.raises(Refusal, match="net must be set"):
        spaces["choose"].resolve(["seed=1"])
    assert spaces["choose"].resolve(["net=a"])["net"] == {"width": 8}
