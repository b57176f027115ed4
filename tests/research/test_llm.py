"""The client against a real server on loopback: ladder, retries, deadlines, breaker, caps, secrets."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import (
    ScriptedServer,
    answer,
    close,
    flood,
    hang,
    nonsense,
    only,
    status,
    trickle,
)

from refusal import Refusal
from research import llm, prices, wire
from research.breaker import Breaker
from research.exchange import Answer, prompt_bound, response_format
from research.ledger import CapReached
from research.proposers.llm import Suggestion
from research.replies import Reading, read

ROOT = Path(__file__).parent.parent.parent
GOOD = '{"hypothesis":"lion beats adam","overrides":["optimizer=lion"]}'
ASK = [{"role": "user", "content": "Propose one experiment as JSON."}]


@pytest.fixture(scope="module")
def server() -> Any:
    # Importing LiteLLM and its first call take seconds that no test's timeout should pay for.
    with ScriptedServer(answer(GOOD)) as running:
        for model, path in (("openai/m", "/v1"), ("hosted_vllm/m", "/v1")):
            client = llm.connect({"model": model, "api_base": running.base + path}, record=lambda **row: None)
            assert client is not None
            with client:
                client.ask(ASK, Suggestion, reader, role="warm-up")
        yield running


def reader(reply: Answer) -> Reading[Suggestion]:
    return read(reply.text, reply.finish_reason, Suggestion)


class Lab:
    """A client of the scripted server and the rows that it records."""

    def __init__(self, server: ScriptedServer, path: str = "/v1", **config: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        base = {"model": "openai/m", "api_base": server.base + path, "backoff_s": 0.01, "retries": 2}
        client = llm.connect({**base, **config}, record=lambda **row: self.rows.append(row))
        assert client is not None
        self.client = client

    def ask(self) -> Reading[Suggestion]:
        return self.client.ask(ASK, Suggestion, reader, role="proposer")

    def unavailable(self) -> str:
        with pytest.raises(llm.LlmUnavailable) as stop:
            self.ask()
        return str(stop.value)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()


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
def test_each_provider_answers_with_a_schema_at_the_first_try(server: Any, model: str, path: str) -> None:
    server.play(answer(GOOD))
    with Lab(server, path, model=model) as lab:
        assert lab.ask().record == Suggestion(hypothesis="lion beats adam", overrides=("optimizer=lion",))
        (asked,) = server.requests
        assert "hypothesis" in str(asked.get("response_format") or asked.get("format") or asked.get("tools"))
        assert (lab.client.ledger.spent.tokens_in, lab.client.ledger.spent.tokens_out) == (50, 20)


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize(
    ("form", "code", "tries"), [("json_object", 400, 2), ("text", 422, 3), ("text", 501, 3), ("text", 500, 3)]
)
def test_the_ladder_goes_down_once_and_remembers(
    server: Any, model: str, form: str, code: int, tries: int
) -> None:
    server.play(only(form, answer(GOOD), code))
    with Lab(server, model=model) as lab:
        assert lab.ask().record and lab.ask().record
        outcomes = [row["outcome"] for row in lab.rows]
        assert outcomes == ["failed: form"] * (tries - 1) + ["accepted"] * 2
        assert len(server.requests) == tries + 1


def test_a_request_that_no_form_can_mend_changes_no_form(server: Any) -> None:
    server.play(status(400))
    with Lab(server) as lab:
        assert "refused the request" in lab.unavailable()
        server.play(answer(GOOD))
        assert lab.ask().record and lab.rows[-1]["facts"]["form"] == "schema"


@pytest.mark.parametrize("fault", [status(429), status(500), status(503, "<html>"), close, nonsense], ids=str)
def test_a_passing_fault_is_retried(server: Any, fault: Any) -> None:
    server.play(fault, fault, answer(GOOD))
    with Lab(server) as lab:
        assert lab.ask().record
        assert len(server.requests) == 3


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
def test_a_lasting_fault_ends_as_unavailable(server: Any, model: str, fault: Any) -> None:
    server.play(fault)
    with Lab(server, model=model, retries=1) as lab:
        sentence = lab.unavailable()
        assert sentence.startswith(model) and sentence.isprintable() and len(sentence) < 300
        assert len(server.requests) == 2 and all(row["reply"] is None for row in lab.rows)


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/m"])
@pytest.mark.parametrize("fault", [hang, trickle])
def test_no_server_holds_us_past_the_timeout(server: Any, model: str, fault: Any) -> None:
    server.play(fault)
    with Lab(server, model=model, timeout_s=0.4, retries=1) as lab:
        started = time.monotonic()
        assert "no answer" in lab.unavailable()
        assert time.monotonic() - started < 3.0
        assert [row["outcome"] for row in lab.rows] == ["failed: timeout"] * 2
        # It may have been billed: it is counted at its bound.
        assert lab.client.ledger.spent.estimated_calls == 2 and lab.client.ledger.spent.tokens_out == 2 * 4096


def test_patience_bounds_all_retries_together(server: Any) -> None:
    server.play(status(429, retry_after="30"))
    with Lab(server, patience_s=0.3, retries=10, backoff_s=0.05) as lab:
        started = time.monotonic()
        assert "busy" in lab.unavailable()
        assert time.monotonic() - started < 2.0 and len(server.requests) == 1


def test_retry_after_is_kept(server: Any) -> None:
    server.play(status(429, retry_after="0.3"), answer(GOOD))
    with Lab(server) as lab:
        started = time.monotonic()
        assert lab.ask().record and time.monotonic() - started > 0.3


@pytest.mark.parametrize("code", [401, 402, 403, 404])
def test_a_refused_key_or_model_is_asked_once_and_never_again(server: Any, code: int) -> None:
    server.play(status(code))
    with Lab(server, rest_s=0) as lab:
        assert "refused the key" in lab.unavailable() or code == 404
        assert "no call is made" in lab.unavailable() and len(server.requests) == 1


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_try_through(server: Any) -> None:
    server.play(status(500))
    with Lab(server, retries=0, break_after=2, rest_s=0.3) as lab:
        lab.unavailable()
        lab.unavailable()
        assert "no call is made" in lab.unavailable() and len(server.requests) == 2
        time.sleep(0.35)
        server.play(answer(GOOD))
        assert lab.ask().record and lab.ask().record


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


def test_no_server_at_all(server: Any) -> None:
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
    server: Any, model: str, reply: Any, outcome: str
) -> None:
    server.play(reply)
    with Lab(server, model=model) as lab:
        assert lab.ask().outcome == outcome
        assert len(server.requests) == 1 and lab.rows[0]["outcome"].endswith(outcome)


def test_a_prompt_that_is_too_long_is_not_repeated(server: Any) -> None:
    server.play(status(400, '{"error":{"message":"This model\'s maximum context length is 8 tokens"}}'))
    with Lab(server) as lab:
        assert "too long" in lab.unavailable() and len(server.requests) == 1


def test_caps_stop_before_the_call(server: Any) -> None:
    server.play(answer(GOOD))
    with Lab(server, caps={"calls": 2}) as lab:
        lab.ask(), lab.ask()
        with pytest.raises(CapReached, match=r"llm\.caps\.calls"):
            lab.ask()
        assert len(server.requests) == 2 and len(lab.rows) == 2
    with Lab(server, caps={"tokens": 100}) as lab, pytest.raises(CapReached):
        lab.ask()
    assert len(server.requests) == 2


def test_retries_are_calls_too(server: Any) -> None:
    server.play(status(500))
    with Lab(server, caps={"calls": 2}, retries=5) as lab, pytest.raises(CapReached):
        lab.ask()
    assert len(server.requests) == 2


def test_the_bound_of_a_prompt_is_one() -> None:
    tiktoken = pytest.importorskip("tiktoken")
    wire.load()  # points tiktoken at the table that LiteLLM brings along, so nothing is downloaded
    encoding = tiktoken.get_encoding("cl100k_base")
    for text in ("plain words", "größer 🙂 " * 50, "\u0489" * 300, "{}[]:," * 100):
        assert prompt_bound([{"role": "user", "content": text}], Suggestion) >= len(encoding.encode(text)) + 8


def test_every_exchange_is_recorded_for_the_store(server: Any, tmp_path: Path) -> None:
    from research.store import Store

    server.play(status(500), answer(GOOD), answer("no", usage=None))
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    base = {"model": "openai/m", "api_base": server.base + "/v1", "backoff_s": 0.01}
    client = llm.connect({**base, "price": {"input": 1.0, "output": 2.0}}, record=store.add_interaction)
    assert client is not None
    with client:
        client.ask(ASK, Suggestion, reader, role="proposer")
        client.ask(ASK, Suggestion, reader, role="reviewer")
    failed, good, bad = store.interactions()
    assert (failed["outcome"], failed["reply"], failed["dollars"]) == ("failed: server", None, 0.0)
    assert (good["outcome"], good["tokens_in"], good["dollars"]) == ("accepted", 50, pytest.approx(90e-6))
    assert (bad["outcome"], bad["reply"], bad["role"]) == ("malformed", "no", "reviewer")
    assert bad["facts"]["tokens_estimated"] and bad["tokens_out"] == 4096 and bad["facts"]["complaints"]
    assert good["joules"] is None and good["prompt"].startswith("[user]\nPropose one")
    store.close()


def test_what_is_recorded_is_storable_short_and_without_secrets(server: Any, monkeypatch: Any) -> None:
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


def test_a_key_of_another_provider_is_never_sent(server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    server.play(answer(GOOD))
    for model in ("openai/m", "hosted_vllm/m", "openrouter/v/m"):
        with Lab(server, model=model, key_env=None) as lab:
            lab.ask()
    assert "sk-not-for-you" not in str(server.headers)


def config(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "conf" / "llm" / f"{name}.yaml").read_text()))


def test_no_model_is_the_default_and_says_how_to_switch_one_on() -> None:
    assert llm.connect(config("none"), record=print) is None
    assert "llm=openai" in llm.NONE and "\n" not in llm.NONE


@pytest.mark.parametrize("name", ["openai", "anthropic", "openrouter"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_refused_before_the_first_call(
    name: str, value: str | None, monkeypatch: Any
) -> None:
    variable = config(name)["key_env"]
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)
    with pytest.raises(Refusal, match=f"set {variable} in the environment"):
        llm.connect(config(name), record=print)
    monkeypatch.setenv(variable, "k")
    assert llm.connect(config(name), record=print) is not None


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_a_local_server_needs_no_key_and_no_price(name: str) -> None:
    client = llm.connect(config(name) | {"caps": {"dollars": 0.5}}, record=print)
    assert client is not None and client.ledger.spent.dollars == 0.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"api_key": "sk-abc"}, "environment only"),
        ({"key_env": "sk-abcdefghijklmnop"}, "never a key"),
        ({"model": "gpt-5"}, "provider/name"),
        ({"model": "openai/x y"}, "provider/name"),
        ({"api_base": "localhost:8000"}, "http://localhost:8000/v1"),
        ({"api_base": "http://me:pw@host/v1"}, "no user, password"),
        ({"timeout_s": 0}, "llm.timeout_s"),
        ({"retries": -1}, "llm.retries"),
        ({"retries": "many"}, "llm.retries"),
        ({"price": {"input": 1.0}}, "both input and output"),
        ({"price": {"input": -1.0, "output": 1.0}}, "llm.price.input"),
        ({"caps": {"pounds": 1}}, "llm.caps.pounds"),
        ({"extra": {"api_key": "x"}}, "llm.extra cannot set api_key"),
        ({"model": "openai/unheard-of", "caps": {"dollars": 1.0}}, "price of this model is unknown"),
        (
            {"api_base": "https://gateway.example.com/v1", "caps": {"dollars": 1.0}},
            "price of this model is unknown",
        ),
        ({"caps": {"joules": 5}}, "llm.joules_per_token"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(
    change: dict[str, Any], sentence: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(Refusal) as refused:
        llm.connect(config("openai") | change, record=print)
    assert sentence in str(refused.value) and "sk-abc" not in str(refused.value)


def test_a_price_in_the_config_keeps_a_dollar_cap(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    change = {"model": "openai/unheard-of", "price": {"input": 0.1, "output": 0.4}, "caps": {"dollars": 1.0}}
    assert llm.connect(config("openai") | change, record=print) is not None


def test_prices_come_from_the_providers_own_entry() -> None:
    known = prices.lookup(config("openai")["model"])
    assert known is not None and 0 < known.input < known.output
    assert prices.lookup(config("anthropic")["model"]) is not None
    assert prices.lookup("hosted_vllm/gpt-4o") is None and prices.lookup("openai/unheard-of") is None


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:11434", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://192.168.1.7:8000", True),
        ("http://gpu.local:8000", True),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
        ("https://localhost.example.com", False),
        (None, False),
    ],
)
def test_local_is_this_machine_or_its_network(address: str | None, local: bool) -> None:
    assert prices.is_local(address) is local


def test_the_schema_is_the_shape_alone() -> None:
    schema = response_format("schema", Suggestion)
    assert schema is not None
    shape = schema["json_schema"]["schema"]
    assert shape["required"] == ["hypothesis", "overrides"] and shape["additionalProperties"] is False
    assert shape["properties"]["overrides"] == {"type": "array", "items": {"type": "string"}}
    assert (
        response_format("json", Suggestion) == {"type": "json_object"}
        and response_format("text", Suggestion) is None
    )


@pytest.mark.slow
def test_nothing_but_the_server_is_asked_and_litellm_waits_for_the_first_call(
    server: Any, tmp_path: Path
) -> None:
    server.play(answer(GOOD))
    (tmp_path / ".env").write_text("LAB_FROM_DOTENV=1\n")
    code = f"""
import os, sys
asked = []
def hook(name, args):
    if name in ("socket.connect", "socket.getaddrinfo"):
        asked.append((name, args))
sys.addaudithook(hook)
from research import llm
from research.exchange import Answer
from research.replies import read
from research.proposers.llm import Suggestion
config = {{"model": "openai/m", "api_base": "{server.base}/v1", "caps": {{"dollars": 1.0}}}}
client = llm.connect(config, record=lambda **row: None)
assert "litellm" not in sys.modules and "httpx" not in sys.modules
reader = lambda reply: read(reply.text, reply.finish_reason, Suggestion)
with client:
    assert client.ask([{{"role": "user", "content": "JSON"}}], Suggestion, reader, role="r").record
hosts = {{str(args[1][0] if name == "socket.connect" else args[0]) for name, args in asked}}
assert hosts <= {{"127.0.0.1"}}, hosts
assert "LAB_FROM_DOTENV" not in os.environ
print("only loopback")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert out.stdout == "only loopback\n" and out.stderr == "", out.stderr


@pytest.mark.slow
def test_the_client_is_imported_cheaply() -> None:
    code = "import time; t = time.process_time(); import research.llm; print(time.process_time() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        for _ in range(3)
    ]
    assert min(float(run.stdout) for run in runs) < 0.5
