"""What is typed reaches Hydra as the text that it is: blanks, any letters, and `~` as the home folder."""

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from cases import each
from refusal import Refusal
from research.compose.compose import Composer
from research.compose.typed import quoted

CONF = Path(__file__).parents[3] / "conf"
HYDRA = OverridesParser.create()


def read(argument: str) -> Any:
    value = HYDRA.parse_override(quoted([argument])[0]).value()
    return (
        [getattr(one, "text", one) for one in value]
        if isinstance(value, list)
        else getattr(value, "text", value)
    )


@each(
    ("argument", "value"),
    [
        ("name=läuft", "läuft"),
        ("name=my run, the 2nd (new)", "my run, the 2nd (new)"),
        ("name=it's", "it's"),
        ('name=it\'s "x"', 'it\'s "x"'),
        ("name=123", "123"),
        ("name=~30", "~30"),
        ("name=a\\b\\", "a\\b\\"),
        ("root=/tmp/mä folder", "/tmp/mä folder"),
        ("store.url=sqlite:////tmp/日本, 2.db", "sqlite:////tmp/日本, 2.db"),
        ("store.url=postgresql://u:p@s/w#&=?@h/d?x=1", "postgresql://u:p@s/w#&=?@h/d?x=1"),
        ("budget.target=val/accuracy >= 0.9", "val/accuracy >= 0.9"),
        ("tags=[ä,b c]", ["ä", "b c"]),
        ("base=[data.path=/mä f,name=x y]", ["data.path='/mä f'", "name=x y"]),
        ("model.width=32", 32),
        ("name=null", None),
        ("optimizer='adam'", "adam"),
    ],
)
def test_a_text_is_read_as_it_was_typed(argument: str, value: Any) -> None:
    assert read(argument) == value


@pytest.mark.parametrize(
    ("argument", "rest"),
    [
        ("root=~", ""),
        ("root=~/runs", "/runs"),
        ("data.path=~/ä b", "/ä b"),
        ("ckpt_path=~/last.ckpt", "/last.ckpt"),
        ("literature.path=~/papers", "/papers"),
        ("path=~/out.json", "/out.json"),
    ],
)
def test_a_tilde_is_the_home_folder_in_every_path(argument: str, rest: str) -> None:
    assert read(argument) == f"{Path.home()}{rest}"
    assert read("store.url=sqlite:///~/ä.db") == f"sqlite:///{Path.home()}/ä.db"
    assert read("base=[data.path=~/x]") == [f"data.path={Path.home()}/x"]
    assert quoted(["--config-dir=~/x"]) == [f"--config-dir={Path.home()}/x"]


def test_somebody_who_is_not_here_has_no_home() -> None:
    with pytest.raises(Refusal, match="~nobody-here is no home folder"):
        quoted(["root=~nobody-here/x"])


def test_a_sweep_may_be_asked_for_anywhere_in_the_line() -> None:
    assert quoted(["seed=0,1", "-m", "optimizer=adam"]) == ["-m", "seed=0,1", "optimizer=adam"]
    assert quoted(["-m", "seed=0,1", "--cfg", "job"]) == ["-m", "seed=0,1", "--cfg", "job"]


def test_letters_that_are_none_are_refused() -> None:
    with pytest.raises(Refusal, match=r"^name=a\\udcffb is no text in UTF-8"):
        quoted(["name=a\udcffb"])


@pytest.mark.parametrize(
    "argument",
    [
        "optimizer=adam, lion",
        "seed=range(0,3)",
        "model.width=1e3,2",
        "x={a:1}",
        "root=${name}/x",
        "x=[[a,[b,c]],d]",
    ],
)
def test_what_hydra_reads_by_itself_is_left_alone(argument: str) -> None:
    assert quoted([argument]) == [argument]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).map(str.strip))
@example("\\;")
@example("\\:")
@example("a\\,b")
def test_any_name_is_one_text(name: str) -> None:
    if name in ("", "null", "true", "false") or name.lower() in ("true", "false", "null") or "${" in name:
        return
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        return
    typed = quoted([f"name={name}"])
    assert HYDRA.parse_override(typed[0]).value() == name or read(f"name={name}") == name
    assert quoted(typed) == typed or {"'", '"'} <= set(name)


def test_the_composer_reads_it_too() -> None:
    typed = quoted(["name=mein läuft, 2", "root=/tmp/mä f"])
    config = Composer(CONF, "train").resolve(typed).config
    assert (config["name"], config["root"]) == ("mein läuft, 2", "/tmp/mä f")


@pytest.mark.parametrize(
    ("override", "typed"),
    [
        ("name='läuft jetzt'", "name=läuft jetzt"),
        ("name='a b'", "name='a b'"),  # quoted by hand: without quotes it would be another text to Hydra
        ("optimizer=adam", "optimizer=adam"),
        ("goal='x'", "goal=x"),
    ],
)
def test_an_override_is_told_as_it_may_be_typed(override: str, typed: str) -> None:
    from research.compose.typed import as_typed

    assert as_typed(override) == typed
    assert read(typed) == read(override)
