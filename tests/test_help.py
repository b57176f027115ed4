"""`--help` of both commands names what there is, quickly enough to be asked often."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train.py", "agent.py"])
def test_help_names_every_option_of_the_root_config(script: str, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "$" not in told
    for group in ("optimizer", "model", "data") if script == "train.py" else ("llm", "proposer"):
        for option in (ROOT / "conf" / group).glob("*.yaml"):
            assert option.stem in told, f"{group}={option.stem}"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train.py", "agent.py"])
def test_a_reader_that_has_seen_enough_is_no_error(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / script), "--help"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdout is not None and asked.stderr is not None
        asked.stdout.close()
        assert asked.stderr.read() == ""
    assert asked.returncode == 0
