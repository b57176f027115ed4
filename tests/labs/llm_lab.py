"""A client of the scripted server, and the rows that it records."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from research.llm import client as llm
from research.llm.endpoint import ServerReply
from research.llm.replies import ReadReply, read
from research.propose.model import Draft
from scripted_server import ScriptedServer, answer

GOOD = '{"hypothesis":"lion beats adam","overrides":["optimizer=lion"]}'
ASK = [{"role": "user", "content": "Propose one experiment as JSON."}]


def reader(reply: ServerReply) -> ReadReply[Draft]:
    return read(reply.text, reply.finish_reason, Draft)


class Lab:
    """A client of the scripted server and the rows that it records."""

    def __init__(self, server: ScriptedServer, path: str = "/v1", **config: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        base = {"model": "openai/m", "api_base": server.base + path, "backoff_s": 0.01, "retries": 2}
        client = llm.connect({**base, **config}, record=lambda **row: self.rows.append(row))
        assert client is not None
        self.client = client

    def ask(self) -> ReadReply[Draft]:
        return self.client.ask(ASK, Draft, reader, role="proposer")

    def unavailable(self) -> str:
        with pytest.raises(llm.LlmUnavailable) as stop:
            self.ask()
        return str(stop.value)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()


@contextmanager
def warm() -> Iterator[ScriptedServer]:
    """A server after two first calls: importing LiteLLM takes seconds that no timeout should pay for."""
    with ScriptedServer(answer(GOOD)) as server:
        for model in ("openai/m", "hosted_vllm/m"):
            with Lab(server, model=model) as lab:
                lab.ask()
        yield server
