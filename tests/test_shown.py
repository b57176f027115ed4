"""What a terminal is given: no password, and nothing that acts on it."""

import pytest

from redact import redact, shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p@zz/w0rd@127.0.0.1:1/db",
        "postgresql://me:pa:zz@h/db",
        "postgresql+psycopg://:p?zz#w0rd@h/db",
        "store.url=postgresql://me:p@z z/w0rd@127.0.0.1:1/db",
        "store.url='postgresql://me:p@z z/w0rd@127.0.0.1:1/db'",
        "postgresql://h/db?user=me&password=p@zz&x=1",
        "it said: postgresql://me:p@zz/w0rd@h/db",
    ],
)
def test_no_part_of_a_password_is_left_of_a_url(url: str) -> None:
    for told in (redact(url), shown(url), redact({"url": url})["url"], redact([url])[0]):
        assert "***" in told
        assert not any(part in told for part in ("pa:", "p@", "zz", "z z", "w0rd", "p?"))


@pytest.mark.parametrize(
    "text", ["sqlite:////tmp/a@b/x.db", "https://api.wandb.ai/x", "mail a@b.org, or http://localhost:8000/v1"]
)
def test_what_holds_no_password_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\x07\x9b", "a\\rb\\x07\\x9b"),
        ("name \u202egnp.exe", "name \\u202egnp.exe"),
        ("\u2066x\u2069 \u200f", "\\u2066x\\u2069 \\u200f"),
        ("\udcff", "\\udcff"),
        ("one\n\ttwo ä 日 \N{SNOWMAN}", "one\n\ttwo ä 日 \N{SNOWMAN}"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelt_out(text: str, told: str) -> None:
    assert shown(text) == told
    assert shown(told) == told
