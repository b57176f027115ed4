"""What the pages for a newcomer name is there, and they are short enough to be read."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from mariadb_server import MISSING

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": 120,
    "CONTRIBUTING.md": 50,
    "docs/architecture.md": 80,
    "docs/your-own.md": 260,
    "docs/log.md": 80,
    "docs/security.md": 80,
    "docs/reliability.md": 90,
}
FOLDERS = ("benchmarks", "conf", "docs", "models", "power", "reading", "research", "tests")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`([^`\s]+)`", (ROOT / page).read_text())
    paths = [name for name in named if name.split("/")[0] in FOLDERS and "/" in name and "NAME" not in name]
    assert [name for name in paths if not list(ROOT.glob(name.rstrip("/")))] == []
    assert page == "docs/log.md" or paths


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page: str) -> None:
    assert len((ROOT / page).read_text().splitlines()) <= PAGES[page]


def test_every_folder_says_what_it_is() -> None:
    inside = [
        path.parent
        for wing in ("models", "research", "reading", "power")
        for path in (ROOT / wing).rglob("*.py")
    ]
    assert [str(folder) for folder in set(inside) if not (folder / "__init__.py").exists()] == []


def test_ci_runs_what_every_commit_is_held_to() -> None:
    (own,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    run = (ROOT / ".ci" / "run").read_text().splitlines()
    entries = [hook["entry"] for hook in own["hooks"]]
    assert len(entries) == 3
    assert all(any(line.startswith(entry) for line in run) for entry in entries)


def test_what_ci_installs_for_the_tests_is_not_skipped(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where apt has brought it, a test that does not find it is red, with the line that installs it."""
    brought = re.search(r'export (JOULELAB_BROUGHT)="(.+)"', (ROOT / ".ci" / "run").read_text())
    assert brought
    plugins = request.config.pluginmanager.get_plugins()
    found_wanting = next(one.found_wanting for one in plugins if hasattr(one, "found_wanting"))

    def outcome(why: str) -> str:
        skipped = SimpleNamespace(skipped=True, outcome="skipped", longrepr=("a.py", 1, f"Skipped: {why}"))
        return found_wanting(skipped).outcome

    reasons = (MISSING, "apt install dataset-fashion-mnist")
    monkeypatch.delenv(brought[1], raising=False)
    assert [outcome(why) for why in reasons] == ["skipped", "skipped"]
    monkeypatch.setenv(brought[1], brought[2])
    assert [outcome(why) for why in (*reasons, "there is no GPU")] == ["failed", "failed", "skipped"]
