"""What is put on the wire: the schema of a record, and a bound of the prompt's tokens that holds."""

import pytest

from research.llm import wire
from research.llm.exchange import prompt_bound, response_format
from research.propose.model import Draft


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
