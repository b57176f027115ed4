"""What is paid once before processes are forked for trials is not paid by each of them."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_process_that_runs_trials_asks_once_what_is_installed() -> None:
    # A quarter of a second, which each process forked from a warm one would pay again.
    code = """
        import importlib.metadata
        from pathlib import Path
        from research.compose.compose import Composer
        from research.run import teachers, warm
        from research.space.signature import signature
        def again():
            raise AssertionError("asked again")
        importlib.metadata.packages_distributions = again
        config = Composer(Path("conf"), "train").resolve([]).config
        assert teachers.key(config, signature(config))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
