"""The client against a real server on loopback: ladder, retries, breaker, caps, records, secrets."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_lab import ASK, GOOD, Lab, reader, warm
from research.llm import client as llm
from research.llm.ledger import CapReached
from research.propose.model import Draft
from scripted_server import ScriptedServer, answer, only, status

pytestmark = pytest.mark.slow  # LiteLLM takes 6 CPU seconds to import
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with warm() as running:
        yield running


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize(
    ("form", "code", "tries"), [("json_object", 400, 2), ("text", 422, 3), ("text", 501, 3), ("text", 500, 3)]
)
def test_the_ladder_goes_down_once_and_remembers(
    server: ScriptedServer, model: str, form: str, code: int, tries: int
) -> None:
    server.play(only(form, answer(GOOD), code))
    with Lab(server, model=model) as lab:
        assert lab.ask().record and lab.ask().record
        outcomes = [row["outcome"] for row in lab.rows]
        assert outcomes == ["failed: form"] * (tries - 1) + ["accepted"] * 2
        assert len(server.requests) == tries + 1


def test_a_request_that_no_form_can_mend_changes_no_form(server: ScriptedServer) -> None:
    server.play(status(400))
    with Lab(server) as lab:
        assert "refused the request" in lab.unavailable()
        server.play(answer(GOOD))
        assert lab.ask().record and lab.rows[-1]["facts"]["form"] == "schema"


def test_patience_bounds_all_retries_together(server: ScriptedServer) -> None:
    server.play(status(429, retry_after="30"))
    with Lab(server, patience_s=0.3, retries=10, backoff_s=0.05) as lab:
        started = time.monotonic()
        assert "busy" in lab.unavailable()
        # Not the half minute that the server asks for.
        assert time.monotonic() - started < 25 and len(server.requests) == 1


def test_retry_after_is_kept(server: ScriptedServer) -> None:
    server.play(status(429, retry_after="0.3"), answer(GOOD))
    with Lab(server) as lab:
        started = time.monotonic()
        assert lab.ask().record and time.monotonic() - started > 0.3


@pytest.mark.parametrize("code", [401, 402, 403, 404])
def test_a_refused_key_or_model_is_asked_once_and_never_again(server: ScriptedServer, code: int) -> None:
    server.play(status(code))
    with Lab(server, rest_s=0) as lab:
        assert "refused the key" in lab.unavailable() or code == 404
        assert "no call is made" in lab.unavailable() and len(server.requests) == 1


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_try_through(server: ScriptedServer) -> None:
    server.play(status(500))
    with Lab(server, retries=0, break_after=2, rest_s=1.5) as lab:
        lab.unavailable()
        lab.unavailable()
        assert "no call is made" in lab.unavailable() and len(server.requests) == 2
        time.sleep(1.55)
        server.play(answer(GOOD))
        assert lab.ask().record and lab.ask().record


def test_caps_stop_before_the_call(server: ScriptedServer) -> None:
    server.play(answer(GOOD))
    with Lab(server, caps={"calls": 2}) as lab:
        lab.ask(), lab.ask()
        with pytest.raises(CapReached, match=r"llm\.caps\.calls"):
            lab.ask()
        assert len(server.requests) == 2 and len(lab.rows) == 2
    with Lab(server, caps={"tokens": 100}) as lab, pytest.raises(CapReached):
        lab.ask()
    assert len(server.requests) == 2


def test_retries_are_calls_too(server: ScriptedServer) -> None:
    server.play(status(500))
    with Lab(server, caps={"calls": 2}, retries=5) as lab, pytest.raises(CapReached):
        lab.ask()
    assert len(server.requests) == 2


def test_every_exchange_is_recorded_for_the_store(server: ScriptedServer, tmp_path: Path) -> None:
    from research.store.store import Store

    server.play(status(500), answer(GOOD), answer("no", usage=None))
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    base = {"model": "openai/m", "api_base": server.base + "/v1", "backoff_s": 0.01}
    client = llm.connect({**base, "price": {"input": 1.0, "output": 2.0}}, record=store.add_interaction)
    assert client is not None
    with client:
        client.ask(ASK, Draft, reader, role="proposer")
        client.ask(ASK, Draft, reader, role="reviewer")
    failed, good, bad = store.interactions()
    assert (failed["outcome"], failed["reply"], failed["dollars"]) == ("failed: server", None, 0.0)
    assert (good["outcome"], good["tokens_in"], good["dollars"]) == ("accepted", 50, pytest.approx(90e-6))
    assert (bad["outcome"], bad["reply"], bad["role"]) == ("malformed", "no", "reviewer")
    assert bad["facts"]["tokens_estimated"] and bad["tokens_out"] == 4096 and bad["facts"]["complaints"]
    assert good["joules"] is None and good["prompt"].startswith("[user]\nPropose one")
    store.close()


def test_what_is_recorded_is_storable_short_and_without_secrets(
    server: ScriptedServer, monkeypatch: Any
) -> None:
    monkeypatch.setenv("LAB_TEST_KEY", "my-very-own-key")
    echo = "my-very-own-key \x00 \ud800 sk-abcdefghijklmnopqrstuv " + "x" * 50_000
    server.play(
        answer(echo), status(401, '{"error":{"message":"Incorrect API key provided: my-very-own-key"}}')
    )
    with Lab(server, key_env="LAB_TEST_KEY") as lab:
        lab.ask()
        sentence = lab.unavailable()
    assert server.headers[0]["Authorization"] == "Bearer my-very-own-key"
    kept = lab.rows[0]["reply"]
    assert len(kept) < 21_000 and "\x00" not in kept and kept.encode("utf-8")
    assert "my-very-own-key" not in repr(lab.rows) + sentence and "abcdefghijklmnopqrstuv" not in kept


def test_the_client_is_imported_cheaply() -> None:
    code = "import research.llm.client, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"litellm", "openai", "torch", "hydra", "numpy", "scipy", "optuna"}
    assert "research" in run.stdout.split() and not heavy & set(run.stdout.split())


def test_replies_that_cannot_be_used_are_told_as_they_come(server: ScriptedServer) -> None:
    said: list[str] = []
    server.play(*[answer('{"confidence":0.9}')] * 7, answer(GOOD), answer("no"), status(401))
    with Lab(server, retries=0) as lab:
        lab.client.heard.say = said.append
        for _ in range(9):
            lab.ask()
        assert lab.client.heard.words is not None
        assert lab.client.heard.words.startswith(
            "9 replies, 8 of them not usable: the field hypothesis is missing"
        )
        lab.unavailable()
        lab.unavailable()
    assert said[:2] == [
        "3 replies, none usable: the field hypothesis is missing",
        "6 replies, none usable: the field hypothesis is missing",
    ]
    assert "no answer: openai/m: the server refused the key" in said[2]
    assert lab.rows[0]["facts"]["complaints"][0] == "the field hypothesis is missing."


def test_replies_that_can_all_be_used_are_not_told(server: ScriptedServer) -> None:
    server.play(answer(GOOD[:-1] + ',"confidence":0.9}'))
    with Lab(server) as lab:
        assert lab.ask().notes == ("not asked for and left out: confidence",)
        assert lab.client.heard.words is None and lab.client.heard.count == 1
    assert lab.rows[0]["facts"]["notes"] == ["not asked for and left out: confidence"]
