"""Several models: who is asked when the first gives no answer, at whose price, and within whose time."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from llm_lab import ASK, GOOD, Lab, reader, warm
from refusal import Refusal
from research.llm import client
from research.llm.dialogue import ask_for
from research.llm.endpoint import Breaker
from research.llm.ledger import CapReached
from research.propose.model import Draft
from scripted_server import Handler, ScriptedServer, answer, hang, status

# The first of these imports LiteLLM, which takes 5 CPU seconds.
pytestmark = pytest.mark.slow

OTHER = {"model": "hosted_vllm/second", "retries": 0, "break_after": 1}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with warm() as running:
        yield running


@pytest.fixture
def second() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer(GOOD)) as running:
        yield running


def to(server: ScriptedServer, **change: Any) -> list[dict[str, Any]]:
    return [{**OTHER, "api_base": server.base + "/v1", **change}]


def models(lab: Lab) -> list[tuple[str, str]]:
    return [(row["model"], row["outcome"]) for row in lab.rows]


@pytest.mark.parametrize("code", [401, 404, 500])
def test_the_next_model_is_asked_when_the_one_before_is_out(
    server: ScriptedServer, second: ScriptedServer, code: int
) -> None:
    server.play(status(code))
    with Lab(server, retries=0, break_after=1, fallback=to(second)) as lab:
        assert lab.ask().record and lab.ask().record
        kind = {401: "key", 404: "model", 500: "server"}[code]
        assert models(lab) == [("openai/m", f"failed: {kind}"), *[("hosted_vllm/second", "accepted")] * 2]
        assert len(server.requests) == 1 and second.requests[0]["model"] == "second"


def test_the_first_model_is_asked_again_after_its_rest(
    server: ScriptedServer, second: ScriptedServer
) -> None:
    server.play(status(500), answer(GOOD))
    with Lab(server, retries=0, break_after=1, rest_s=0.2, fallback=to(second)) as lab:
        lab.ask()
        time.sleep(0.25)
        lab.ask()
        assert [model for model, outcome in models(lab) if outcome == "accepted"] == [
            "hosted_vllm/second",
            "openai/m",
        ]


def test_all_out_is_unavailable_and_names_each(server: ScriptedServer, second: ScriptedServer) -> None:
    server.play(status(500))
    second.play(status(401))
    with Lab(server, retries=0, fallback=to(second)) as lab:
        sentence = lab.unavailable()
        assert "openai/m: the server failed" in sentence
        assert "hosted_vllm/second: the server refused the key" in sentence


def test_each_model_has_its_own_price_key_and_joules_under_one_cap(
    server: ScriptedServer, second: ScriptedServer, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FIRST_KEY", "first-secret")
    monkeypatch.setenv("SECOND_KEY", "second-secret")
    server.play(answer(GOOD), status(500))
    second.play(answer(GOOD.replace("lion beats", "second-secret beats")))
    fallback = to(
        second, key_env="SECOND_KEY", price={"input": 10.0, "output": 100.0}, ecologits="openai/gpt-5.4-mini"
    )
    own = {"price": {"input": 1.0, "output": 2.0}, "token_joules": 2.0, "retries": 0}
    caps = {"dollars": 2.0, "joules": 1e6, "calls": 3}
    with Lab(server, key_env="FIRST_KEY", fallback=fallback, caps=caps, **own) as lab:
        lab.ask(), lab.ask()
        first, failed, other = lab.rows
        assert first["dollars"] == pytest.approx(90e-6) and first["joules"] == 40.0
        assert first["facts"]["energy"]["method"] == "llm.token_joules of the config"
        assert failed["dollars"] == failed["joules"] == 0.0
        assert other["dollars"] == pytest.approx(2500e-6)
        energy = other["facts"]["energy"]
        assert energy["method"].startswith("estimated (EcoLogits") and energy["warnings"]
        assert 0 < energy["low_j"] < energy["high_j"] == other["joules"]
        assert lab.client.ledger.spent.joules == 40.0 + other["joules"]
        assert "second-secret" not in repr(lab.rows) and "verbatim" not in other["facts"]
        assert second.headers[0]["Authorization"] == "Bearer second-secret"
        with pytest.raises(CapReached, match="calls"):
            lab.ask()


def test_a_role_has_its_own_model_and_temperature(server: ScriptedServer, second: ScriptedServer) -> None:
    server.play(answer(GOOD))
    with Lab(server, temperature=0.7, fallback=to(second)) as lab:
        lab.client.admit("openai/strong")
        for model, temperature in ((None, None), ("openai/strong", 0.1), ("openai/m", 0.0)):
            lab.client.ask(ASK, Draft, reader, role="r", model=model, temperature=temperature)
        assert [(body["model"], body["temperature"]) for body in server.requests] == [
            ("m", 0.7),
            ("strong", 0.1),
            ("m", 0.0),
        ]
        assert [row["facts"]["temperature"] for row in lab.rows] == [0.7, 0.1, 0.0]
        assert len({row["digest"] for row in lab.rows}) == 3
        with pytest.raises(Refusal, match="no option"):
            lab.client.admit("gpt")


def test_the_model_of_a_role_falls_back_to_the_models_of_the_config(server: ScriptedServer) -> None:
    def strong_is_down(handler: Handler, body: dict[str, Any]) -> None:
        (status(404) if body["model"] == "strong" else answer(GOOD))(handler, body)

    server.play(strong_is_down)
    with Lab(server) as lab:
        found = lab.client.ask(ASK, Draft, reader, role="r", model="openai/strong")
        assert found.record and models(lab) == [("openai/strong", "failed: model"), ("openai/m", "accepted")]


def test_a_temperature_that_a_model_refuses_is_left_out_and_remembered(server: ScriptedServer) -> None:
    def own_only(handler: Handler, body: dict[str, Any]) -> None:
        refused = status(400, '{"error":{"message":"Unsupported value: temperature does not support 0.3"}}')
        (refused if "temperature" in body else answer(GOOD))(handler, body)

    server.play(own_only)
    with Lab(server) as lab:
        for _ in range(2):
            assert lab.client.ask(ASK, Draft, reader, role="r", temperature=0.3).record
        assert [row["outcome"] for row in lab.rows] == ["failed: form", "accepted", "accepted"]
        assert lab.rows[-1]["facts"]["form"] == "schema" and len(server.requests) == 3


def test_a_deadline_bounds_all_attempts_models_and_repairs(
    server: ScriptedServer, second: ScriptedServer
) -> None:
    server.play(hang)
    second.play(hang)
    with Lab(server, retries=3, break_after=1, fallback=to(second)) as lab:
        started = time.monotonic()
        with pytest.raises(client.LlmUnavailable, match="no time is left to ask hosted_vllm/second"):
            lab.client.ask(ASK, Draft, reader, role="r", deadline_s=1.5)
        # A hanging server lets go after half a minute.
        assert time.monotonic() - started < 25 and not second.requests
        # Our own deadline says nothing about the server: it is asked again.
        server.play(answer(GOOD))
        assert lab.ask().record
    slow = answer("not JSON")

    def late(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(0.4)
        slow(handler, body)

    server.play(late)
    with Lab(server, retries=0) as lab, pytest.raises(client.LlmUnavailable):
        ask_for(lab.client, Draft, ASK, role="r", check=lambda _: (), repairs=50, deadline_s=4.0)
    # Of fifty, in steps of 0.4 s at least.
    assert 2 <= len(server.requests) <= 11


def test_a_retry_after_may_be_a_date(server: ScriptedServer) -> None:
    from email.utils import formatdate

    server.play(status(429, retry_after=formatdate(time.time() + 30, usegmt=True)))
    with Lab(server, patience_s=2.0, retries=10) as lab:
        started = time.monotonic()
        assert "busy" in lab.unavailable()
        assert time.monotonic() - started < 25 and len(server.requests) == 1


def test_the_breaker_counts_only_failures_in_a_row() -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, clock=lambda: now[0])
    breaker.fail("a")
    breaker.succeed()
    breaker.fail("b")
    assert breaker.open is None
    breaker.fail("c")
    assert breaker.open == "c"
    now[0] = 10.0
    assert breaker.open is None
    breaker.fail("d")
    assert breaker.open == "d"
