"""Keys are refused on the command line, and nothing else is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

from refusal import STOPPED, Refusal, refuse_secrets, sentence, told
from research.compose.override import override


@pytest.mark.parametrize(
    "argument",
    [
        "llm.api_key=abc",
        "api-key=abc",
        "llm.token=abc",
        "store.password = x",
        "name=sk-0123456789abcdefABCD",
        "+hf.TOKEN=x",
    ],
)
def test_a_key_on_the_command_line_is_refused_without_being_repeated(argument: str) -> None:
    with pytest.raises(Refusal, match="environment") as told:
        refuse_secrets(["seed=1", argument])
    assert str(override(argument).value) not in str(told.value).split("looks like")[0].split("'")[1]


@pytest.mark.parametrize(
    "argument",
    [
        "llm.max_tokens=100",
        "llm.caps.tokens=5",
        "llm.key_env=OPENAI_API_KEY",
        "name=token ring",
        "optimizer.lr=0.1",
        "goal=90 % accuracy",
    ],
)
def test_what_is_no_key_passes(argument: str) -> None:
    refuse_secrets([argument])


def test_a_refusal_is_told_as_it_is_and_a_bug_keeps_its_traceback() -> None:
    assert sentence(Refusal("say this")) == "refused: say this"
    assert sentence(ValueError("a bug")) is None


def test_what_hydra_raises_is_the_persons_only_where_it_reads_what_was_typed() -> None:
    code = "def do():\n from omegaconf import OmegaConf\n OmegaConf.create({}).merge_with(3)"
    for name, is_bug in (("research.run.sweep", True), ("research.compose.compose", False), ("mine", False)):
        module: dict[str, Any] = {"__name__": name}
        exec(code, module)
        with pytest.raises(Exception) as told:
            module["do"]()
        assert (sentence(told.value) is None) is is_bug, name


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, told():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: the same command typed again goes on")


@pytest.mark.parametrize("command", ["train", "agent"])
def test_ctrl_c_while_a_command_is_imported_says_it_too(command: str, tmp_path: Path) -> None:
    (tmp_path / "construct.py").write_text("raise KeyboardInterrupt")
    root = Path(__file__).parents[1]
    code = f"import sys, runpy; sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}];"
    code += f"runpy.run_path('{root}/{command}.py', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr == f"{STOPPED}\n" and ended.returncode


def test_what_an_error_quotes_can_neither_act_on_the_terminal_nor_tell_a_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit), told():
        raise Refusal("no\x1b[2J: store.url=postgresql://me:p@zz/w0rd@h/db seed=a\nb")
    assert capsys.readouterr().err == "refused: no\\x1b[2J: store.url=postgresql://me:***@h/db seed=a\\nb\n"


def test_hydras_advice_to_add_unread_keys_is_not_passed_on() -> None:
    told = sentence(
        HydraException("Could not override 'x'.\nTo append to your config use +x=1\nKey 'x' is not in struct")
    )
    assert told is not None and "+x" not in told and "not in struct" in told


def test_hydras_list_of_options_becomes_part_of_the_sentence() -> None:
    told = sentence(
        HydraException("In 'agent': Could not find 'memory/x'\n\nAvailable options in 'memory':\n\toff\n\ton")
    )
    assert told is not None and told.startswith(
        "refused: In 'agent': Could not find 'memory/x'; the options of 'memory' are off, on: python"
    )
