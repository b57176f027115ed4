"""Reports and a notebook's tables in a real browser on a screen of 360 pixels: nothing is moved sideways."""

import html
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from campaign_lab import energy, opened
from research.notebook import CampaignView, SweepView, known, views
from research.report import analysis
from research.report.summary import text as summary_of
from research.tasks.research import outcome

pytestmark = pytest.mark.slow
SCREEN = 360
KEPT = Path(__file__).parents[3] / "docs" / "experiments"
# As GitHub has it, but that a table which is too wide is not put into a box of its own.
STYLE = """
body { margin: 15px; font: 16px "Liberation Sans", Arial, "DejaVu Sans Condensed"; overflow-wrap: break-word }
table { border-collapse: collapse } td, th { padding: 6px 13px; border: 1px solid } img { max-width: 100% }
code { font: 85% monospace; white-space: break-spaces; overflow-wrap: anywhere } pre { overflow-x: auto }
"""
MEASURE = """
onload = () => { document.body.dataset.widths = [...document.querySelectorAll("iframe")].map(
  frame => frame.contentDocument.scrollingElement.scrollWidth).join(" ") }
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no browser: apt-get install -y --no-install-recommends chromium")
    return found


def widths(browser: str, folder: Path, pages: Sequence[str]) -> list[int]:
    """How wide each page is on the screen, in pixels: a browser's own window is never so narrow."""
    wholes = (f"<!doctype html><style>{STYLE}</style>{page}" for page in pages)
    frame = f'<iframe style="width:{SCREEN}px;height:640px;border:0" srcdoc="%s"></iframe>'
    frames = "".join(frame % html.escape(whole) for whole in wholes)
    (folder / "screens.html").write_text(f"<!doctype html><body>{frames}<script>{MEASURE}</script></body>")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    command = [browser, *quiet, "--dump-dom", f"file://{folder / 'screens.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    told = re.search(r'data-widths="([\d ]+)"', done.stdout)
    assert told, done.stderr[-1000:]
    return list(map(int, told[1].split()))


def read(text: str) -> str:
    """Markdown as a page."""
    return MarkdownIt("commonmark").enable("table").render(text)


def test_what_is_too_wide_is_found(browser: str, tmp_path: Path) -> None:
    wide = f"<table><tr><td>{'x' * 60}</td></tr></table>"
    short, long = widths(browser, tmp_path, ["<p>a line</p>", wide])
    assert short == SCREEN and long > SCREEN


def test_no_report_of_a_campaign_is_wider_than_a_telephone(browser: str, tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        found = lab.campaign(lab.charter(energy()))
        report = next((lab.folder / "runs").rglob("report.md"))
        texts = {"report": report.read_text(), "analysis": analysis.text(found), "summary": summary_of(found)}
        name = lab.store.trials()[0].sweep
        rows = known(lab.store, lab.store.trials(sweep=name))
        shown = [
            SweepView(str(name), rows, views(lab.store, rows)),
            CampaignView(outcome(lab.store, report)),
        ]
        tables = {type(view).__name__: view._repr_html_() for view in shown}
    assert all("<table>" in page for page in [*map(read, texts.values()), *tables.values()])
    pages = {**{key: read(text) for key, text in texts.items()}, **tables}
    found_widths = zip(pages, widths(browser, tmp_path, list(pages.values())), strict=True)
    assert {key: width for key, width in found_widths if width > SCREEN} == {}


def test_no_kept_report_with_short_names_is_wider_than_a_telephone(browser: str, tmp_path: Path) -> None:
    """Those of before, whose rows are gone, name each arm by all of its overrides."""
    texts = {path.parent.name: path.read_text() for path in sorted(KEPT.glob("*/report.md"))}
    now = {name: text for name, text in texts.items() if "| arm | differs from the control by |" in text}
    assert len(now) >= 8
    found = widths(browser, tmp_path, [read(text) for text in now.values()])
    assert {name: width for name, width in zip(now, found, strict=True) if width > SCREEN} == {}
