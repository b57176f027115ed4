"""What an override says is read at one place, however it was typed."""

import pytest

from research.compose.override import keys_of, override, values_of


@pytest.mark.parametrize(
    ("text", "key", "value", "group"),
    [
        ("optimizer=lion", "optimizer", "lion", "optimizer"),
        ("+experiment=x", "experiment", "x", "experiment"),
        (" budget.steps = 300 ", "budget.steps", "300", "budget"),
        ("base=[data=digits,model=cnn]", "base", "[data=digits,model=cnn]", "base"),
        ("budget.seconds=", "budget.seconds", "", "budget"),
        ("~trainer.precision", "~trainer.precision", None, "~trainer"),
    ],
)
def test_an_override_is_its_key_and_the_text_of_its_value(
    text: str, key: str, value: str | None, group: str
) -> None:
    read = override(text)
    assert (read.key, read.value, read.group, read.spelling) == (key, value, group, text)


def test_of_two_overrides_of_one_key_the_last_one_counts() -> None:
    typed = ["seed=1", "+seed=2", "no value", "name=a=b"]
    assert values_of(typed) == {"seed": "2", "name": "a=b"}
    assert keys_of(typed) == {"seed", "name", "no value"}
