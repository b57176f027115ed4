"""What is refused before anything is run leaves no database behind."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from refusal import Refusal
from research.campaign.campaign import CONF
from research.lab import Lab
from research.space import vocabulary
from research.space.gate import Space
from research.space.vocabulary import narrowed
from research.store.store import Store


@cache
def offered(fixed: tuple[str, ...]) -> dict[str, Any]:
    return narrowed(Space(CONF, CONF / "space.yaml"), fixed)


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key; and what agents may turn, which takes a third of a second, is found out once."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(vocabulary, "narrowed", lambda space, fixed: deepcopy(offered(tuple(fixed))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["llm=openai"], "needs a key"),
        (["llm=ollama", "llm.fallback=[openai]"], "needs a key"),
        (["literature=folder", "literature.path=nowhere"], "no folder nowhere"),
        (["memory=on", "memory.store.url=sqlite:///nowhere.db"], "no database"),
        (["memory=on", "memory.retrieval._target_=research.nowhere.Nobody"], "memory.retrieval"),
        (["proposer=tpe", "proposer.shares.tpe=0"], "gives nobody a turn"),
        (["launcher.jobs=0"], "launcher.jobs=0"),
        (["experiment=efficient_optimizer", "launcher.jobs=-1"], "launcher.jobs=-1"),
        (["experiment=efficient_optimizer", "quiet=[logger=nobody]"], "no option 'nobody'"),
        (["base=[data=nothing]"], "no option 'nothing'"),
    ],
)
def test_a_refused_campaign_leaves_no_database(tmp_path: Path, typed: list[str], said: str) -> None:
    lab = Lab(*typed, f"root={tmp_path / 'runs'}", store=tmp_path / "lab.db")
    with pytest.raises(Refusal, match=said):
        lab.run()
    assert not list(tmp_path.iterdir())


def test_a_proposer_that_nobody_has_written_leaves_none(tmp_path: Path) -> None:
    typed = ["proposer=tpe", "proposer.sources.tpe._target_=research.nowhere.Nobody"]
    lab = Lab(*typed, f"root={tmp_path / 'runs'}", store=tmp_path / "lab.db")
    with pytest.raises(Exception, match=r"research\.nowhere"):
        lab.run()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("typed", [["llm=openai"], ["memory=on", "memory.retrieval._target_=nowhere.Nobody"]])
def test_neither_does_a_refused_suggestion(tmp_path: Path, typed: list[str]) -> None:
    with pytest.raises(Refusal):
        Lab(*typed, store=tmp_path / "lab.db").suggest(count=1)
    assert not list(tmp_path.iterdir())


def test_a_late_store_is_made_by_its_first_verb(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    late = Store(url, late=True)
    assert late.is_new and not (tmp_path / "lab.db").exists()
    assert late.trials() == [] and (tmp_path / "lab.db").exists()
    late.close()
    again = Store(url, late=True)
    assert not again.is_new
    again.close()


def test_a_late_store_refuses_a_url_at_once(tmp_path: Path) -> None:
    for url in ("oracle://x", "sqlite://", f"sqlite:///{tmp_path}/no/lab.db", "no url"):
        with pytest.raises(Refusal):
            Store(url, late=True)
