"""Known replies: an equal question asks nobody, what differs does, and what was masked is asked anew."""

from collections.abc import Iterator
from typing import Any

import pytest

from llm_lab import ASK, GOOD, reader, warm
from research.llm import client as llm
from research.llm.dialogue import ask_for
from research.llm.replies import ReadReply
from research.propose.model import Draft
from research.store.store import Store
from scripted_server import ScriptedServer, answer, status

# The first of these imports LiteLLM, which takes 5 CPU seconds.
pytestmark = pytest.mark.slow

BAD = '{"hypothesis":"x","overrides":["hydra.run.dir=/etc"]}'


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with warm() as running:
        yield running


def client(server: ScriptedServer, store: Store, **config: Any) -> llm.Client:
    base = {"model": "openai/m", "api_base": server.base + "/v1", "retries": 0, "cache": True}
    made = llm.connect({**base, **config}, record=store.add_interaction, store=store)
    assert made is not None
    return made


def ask(asked: llm.Client, *, text: str = "JSON", **change: Any) -> ReadReply[Draft]:
    return asked.ask([{"role": "user", "content": text}], Draft, reader, role="r", **change)


def named(name: str) -> Any:
    return answer(GOOD.replace("lion beats adam", name))


def test_an_equal_question_of_another_campaign_asks_nobody(server: ScriptedServer, store: Store) -> None:
    server.play(named("first"))
    with client(server, store) as asked:
        ask(asked)
    server.play(status(500))
    with client(server, store, caps={"calls": 0}) as again:
        found = ask(again)
        assert found.record is not None and found.record.hypothesis == "first"
        assert not server.requests and again.ledger.spent.calls == 0 and again.ledger.spent.cached == 1
    row, repeat = store.interactions()
    assert (repeat["outcome"], repeat["reply"]) == ("cached", row["reply"])
    assert repeat["facts"]["of"] == row["id"] and repeat["facts"]["read"] == "accepted"
    assert [repeat[name] for name in ("tokens_in", "tokens_out", "dollars", "joules")] == [0, 0, 0.0, 0.0]
    assert repeat["digest"] == row["digest"] and len(row["digest"]) == 64


def test_asking_again_in_one_campaign_is_asking_again(server: ScriptedServer, store: Store) -> None:
    server.play(named("first"), named("second"), named("third"))
    with client(server, store) as asked:
        assert [ask(asked).record.hypothesis for _ in range(2)] == ["first", "second"]  # type: ignore[union-attr]
    with client(server, store) as again:
        names = [ask(again).record.hypothesis for _ in range(3)]  # type: ignore[union-attr]
    assert names == ["first", "second", "third"] and len(server.requests) == 3


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({"model": "openai/other"}, {}),
        ({"max_tokens": 100}, {}),
        ({"extra": {"top_p": 0.5}}, {}),
        ({}, {"temperature": 0.5}),
        ({}, {"text": "JSON!"}),
        ({}, {"model": "openai/other"}),
        ({"cache": False}, {}),
    ],
)
def test_another_question_is_asked(
    server: ScriptedServer, store: Store, settings: dict[str, Any], change: dict[str, Any]
) -> None:
    server.play(answer(GOOD))
    with client(server, store) as asked:
        ask(asked)
    with client(server, store, **settings) as again:
        ask(again, **change)
    assert len(server.requests) == 2


def test_a_temperature_of_the_settings_and_of_the_role_are_the_same(
    server: ScriptedServer, store: Store
) -> None:
    server.play(answer(GOOD))
    with client(server, store, temperature=0.5) as asked:
        ask(asked)
    with client(server, store) as again:
        ask(again, temperature=0.5)
    assert len(server.requests) == 1


def test_a_dialogue_is_repeated_with_its_repair(server: ScriptedServer, store: Store) -> None:
    def check(suggestion: Draft) -> list[str]:
        return ["not yours"] if "hydra" in suggestion.overrides[0] else []

    server.play(answer(BAD), answer(GOOD))
    for _ in range(2):
        with client(server, store) as asked:
            found = ask_for(asked, Draft, ASK, role="r", check=check)
            assert found.record is not None and found.outcomes == ("gate", "accepted")
    assert len(server.requests) == 2


def test_what_is_read_otherwise_today_is_asked_anew(server: ScriptedServer, store: Store) -> None:
    server.play(answer(BAD), answer(GOOD))
    with client(server, store) as asked:
        assert ask_for(asked, Draft, ASK, role="r", check=lambda _: ()).record
    with client(server, store) as again:
        found = ask_for(again, Draft, ASK, role="r", check=lambda it: ["no"] if it.hypothesis == "x" else ())
    assert found.record is not None and found.outcomes == ("accepted",) and len(server.requests) == 2


@pytest.mark.parametrize(
    "name", ["my-very-own-key", "sk-abcdefghijklmnopqrstuv", "postgres://me:pw@host", "x" * 1999]
)
def test_a_reply_that_is_not_kept_as_it_was_is_not_repeated(
    server: ScriptedServer, store: Store, monkeypatch: Any, name: str
) -> None:
    monkeypatch.setenv("LAB_TEST_KEY", "my-very-own-key")
    server.play(named(name))
    for _ in range(2):
        with client(server, store, key_env="LAB_TEST_KEY") as asked:
            found = ask(asked)
            assert found.record is not None and found.record.hypothesis == name
    assert len(server.requests) == (1 if name.startswith("x") else 2)
    assert "my-very-own-key" not in repr(store.interactions())


def test_failures_are_never_repeated(server: ScriptedServer, store: Store) -> None:
    server.play(status(500), answer(GOOD))
    with client(server, store) as asked:
        with pytest.raises(llm.LlmUnavailable):
            ask(asked)
        assert ask(asked).record
    with client(server, store) as again:
        assert ask(again).record
    assert len(server.requests) == 2
