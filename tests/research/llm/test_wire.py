"""One exchange with a real server on loopback, however it fails: typed, in time, and with nobody else."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_lab import GOOD, Lab, warm
from research.llm import wire
from research.llm.endpoint import prompt_bound, response_format
from research.propose.model import Draft
from scripted_server import ScriptedServer, answer, close, flood, hang, nonsense, status, trickle

# The first of these imports LiteLLM, which takes 5 CPU seconds.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with warm() as running:
        yield running


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("openai/gpt-4", "/v1"),  # a model that LiteLLM's table denies the format
        ("hosted_vllm/m", "/v1"),
        ("openrouter/vendor/m", "/v1"),
        ("ollama_chat/m", ""),
        ("anthropic/m", ""),
    ],
)
def test_each_provider_answers_with_a_schema_at_the_first_try(
    server: ScriptedServer, model: str, path: str
) -> None:
    server.play(answer(GOOD))
    with Lab(server, path, model=model) as lab:
        assert lab.ask().record == Draft(hypothesis="lion beats adam", overrides=("optimizer=lion",))
        (asked,) = server.requests
        assert "hypothesis" in str(asked.get("response_format") or asked.get("format") or asked.get("tools"))
        assert (lab.client.ledger.spent.tokens_in, lab.client.ledger.spent.tokens_out) == (50, 20)


@pytest.mark.parametrize(
    "fault",
    [status(429), status(500), status(503, "<html>"), close, nonsense],
    ids=["429", "500", "503", "close", "nonsense"],
)
def test_a_passing_fault_is_retried(server: ScriptedServer, fault: Any) -> None:
    server.play(fault, fault, answer(GOOD))
    with Lab(server) as lab:
        assert lab.ask().record
        assert len(server.requests) == 3


@pytest.mark.slow
@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(200, "upstream connect error"),
        status(200, "<html>"),
        status(200, "null"),
        status(200, '{"id":"c","choices":[]}'),
        status(200, '{"error":{"message":"Rate limit reached","code":429}}'),
        status(307, location="http://127.0.0.1:9/elsewhere"),
        status(200, "x", content_encoding="gzip"),
        answer(GOOD, usage=("many", -1)),
        close,
        nonsense,
        flood,
    ],
)
def test_a_lasting_fault_ends_as_unavailable(server: ScriptedServer, model: str, fault: Any) -> None:
    server.play(fault)
    with Lab(server, model=model, retries=1) as lab:
        sentence = lab.unavailable()
        assert sentence.startswith(model) and sentence.isprintable() and len(sentence) < 300
        assert len(server.requests) == 2 and all(row["reply"] is None for row in lab.rows)


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize("fault", [hang, trickle])
def test_no_server_holds_us_past_the_timeout(server: ScriptedServer, model: str, fault: Any) -> None:
    server.play(fault)
    with Lab(server, model=model, timeout_s=0.4, retries=1) as lab:
        started = time.monotonic()
        assert "no answer" in lab.unavailable()
        # Such a server holds a reader for half a minute, or for ever.
        assert time.monotonic() - started < 25
        assert [row["outcome"] for row in lab.rows] == ["failed: timeout"] * 2
        # It may have been billed: it is counted at its bound.
        assert [row["facts"]["tokens_estimated"] for row in lab.rows] == [True, True]
        assert lab.client.ledger.spent.tokens_out == 2 * 4096


def test_no_server_at_all(server: ScriptedServer) -> None:
    with Lab(server, api_base="http://127.0.0.1:9/v1", retries=0) as lab:
        assert "cannot be reached" in lab.unavailable()
        assert lab.client.ledger.spent.tokens_out == 0


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(GOOD, "length"), "truncated"),
        (answer(GOOD, "banana"), "truncated"),
        (answer("", "content_filter"), "filtered"),
        (answer(None, refusal="I will not"), "refused"),
        (answer("I'm sorry, but I can't help with that."), "refused"),
        (answer(None), "empty"),
        (
            answer(
                None,
                tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            ),
            "malformed",
        ),
        (
            status(400, '{"error":{"message":"flagged","code":"content_filter","type":"content_policy"}}'),
            "filtered",
        ),
    ],
)
def test_why_a_reply_ended_is_seen_through_the_server(
    server: ScriptedServer, model: str, reply: Any, outcome: str
) -> None:
    server.play(reply)
    with Lab(server, model=model) as lab:
        assert lab.ask().outcome == outcome
        assert len(server.requests) == 1 and lab.rows[0]["outcome"].endswith(outcome)


@pytest.mark.parametrize(
    ("model", "path", "told"),
    [
        ("openai/m", "", "set llm.api_base={base}/v1: servers of this protocol answer under /v1"),
        ("hosted_vllm/m", "/", "set llm.api_base={base}/v1: servers of this protocol answer under /v1"),
        ("ollama_chat/m", "/v1", "set llm.api_base={base}: ollama_chat takes the address without /v1"),
        ("anthropic/m", "/v1", "set llm.api_base={base}: anthropic takes the address without /v1"),
        ("openai/m", "/v1", None),
        ("openai/m", "/gateway/openai", None),
    ],
)
@pytest.mark.parametrize("step", [status(404), status(405), status(200, "<html>"), status(500)])
def test_an_address_that_lacks_its_path_is_told(
    server: ScriptedServer, model: str, path: str, told: str | None, step: Any
) -> None:
    server.play(step)
    with Lab(server, path, model=model, retries=0) as lab:
        sentence = lab.unavailable()
    broken = "status 500" in sentence
    assert ("set llm.api_base" in sentence) == (told is not None and not broken)
    assert told is None or broken or told.format(base=server.base) in sentence


@pytest.mark.parametrize(
    ("model", "path", "extra", "sent"),
    [
        ("openai/gpt-5.4-mini", "/v1", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("openai/m", "/v1", {"chat_template_kwargs": {"x": False}}, {"chat_template_kwargs": {"x": False}}),
        ("hosted_vllm/m", "/v1", {"top_k": 20}, {"top_k": 20}),
        ("openrouter/v/m", "/v1", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("ollama_chat/m", "", {"num_ctx": 8192}, {"options": {"num_ctx": 8192, "num_predict": 4096}}),
        ("anthropic/claude-haiku-4-5", "", {"top_k": 20}, {"top_k": 20}),
    ],
)
def test_further_arguments_reach_the_server(
    server: ScriptedServer, model: str, path: str, extra: dict[str, Any], sent: dict[str, Any]
) -> None:
    server.play(answer(GOOD))
    with Lab(server, path, model=model, extra=extra) as lab:
        assert lab.ask().record
    (body,) = server.requests
    assert {name: body.get(name) for name in sent} == sent


def test_an_argument_that_litellm_refuses_is_named(server: ScriptedServer) -> None:
    server.play(answer(GOOD))
    with Lab(server, "", model="anthropic/claude-haiku-4-5", extra={"seed": 3}) as lab:
        assert "anthropic takes no seed: leave it out of llm.extra" in lab.unavailable()
    assert not server.requests


def test_a_prompt_that_is_too_long_is_not_repeated(server: ScriptedServer) -> None:
    server.play(status(400, '{"error":{"message":"This model\'s maximum context length is 8 tokens"}}'))
    with Lab(server) as lab:
        assert "too long" in lab.unavailable() and len(server.requests) == 1


def test_a_key_of_another_provider_is_never_sent(server: ScriptedServer, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    server.play(answer(GOOD))
    for model in ("openai/m", "hosted_vllm/m", "openrouter/v/m"):
        with Lab(server, model=model, key_env=None) as lab:
            lab.ask()
    assert "sk-not-for-you" not in str(server.headers)


ALONE = """
import os, sys
asked = []
def hook(name, args):
    if name == "socket.getaddrinfo":
        asked.append((args[0], int(args[1])))
    elif name == "socket.connect":
        asked.append(args[1][:2])
sys.addaudithook(hook)
from research.llm import client as llm
from research.propose.model import Draft
from research.llm.replies import read
def reader(reply):
    return read(reply.text, reply.finish_reason, Draft)
base = sys.argv[1]
models = {"openai/m": "/v1", "hosted_vllm/m": "/v1", "openrouter/v/m": "/v1"}
models |= {"ollama_chat/m": "", "anthropic/m": ""}
for model, path in models.items():
    config = {"model": model, "api_base": base + path, "caps": {"dollars": 1.0}}
    config["price"] = {"input": 0.0, "output": 0.0}
    client = llm.connect(config, record=lambda **row: None)
    assert asked or not {"litellm", "httpx"} & set(sys.modules)
    with client:
        assert client.ask([{"role": "user", "content": "JSON"}], Draft, reader, role="r").record
import time
time.sleep(1)
assert {f"http://{host}:{port}" for host, port in asked} == {base}, asked
assert "LAB_FROM_DOTENV" not in os.environ
print("only the server")
"""


@pytest.mark.slow
def test_only_the_server_is_asked_and_litellm_waits_for_the_first_call(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.play(answer(GOOD))
    (tmp_path / ".env").write_text("LAB_FROM_DOTENV=1\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", ALONE, server.base]
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert out.stdout == "only the server\n" and out.stderr == "", out.stderr


def test_the_schema_is_the_shape_alone() -> None:
    schema = response_format("schema", Draft)
    assert schema is not None
    shape = schema["json_schema"]["schema"]
    assert shape["required"] == ["hypothesis", "overrides"] and shape["additionalProperties"] is False
    assert shape["properties"]["overrides"] == {"type": "array", "items": {"type": "string"}}
    assert (
        response_format("json", Draft) == {"type": "json_object"} and response_format("text", Draft) is None
    )


@pytest.mark.slow  # LiteLLM, which brings the tokenizer, takes 6 CPU seconds to import
def test_the_bound_of_a_prompt_is_one() -> None:
    encoding = wire.load().encoding  # a tokenizer of OpenAI's that LiteLLM brings along
    for text in ("plain words", "größer 🙂 " * 50, "\u0489" * 300, "{}[]:," * 100):
        assert prompt_bound([{"role": "user", "content": text}], Draft) >= len(encoding.encode(text)) + 8
