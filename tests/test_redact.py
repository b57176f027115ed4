"""Secrets are masked in whatever holds them, and what is none stays, letter by letter."""

import json
import random
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import redact
import refusal
from cases import each
from redact import MASK
from research.page import put
from research.run.runner import Job
from research.space.gate import Space
from research.store import address

ROOT = Path(__file__).parent.parent
CHANCE = random.Random(3)
LETTERS = string.ascii_letters + string.digits


def some(count: int, of: str = LETTERS) -> str:
    """Random letters, a digit among them, as every key has."""
    return "".join(CHANCE.choice(of) for _ in range(count - 1)) + "7"


UPPER, LOWER, HEX = (
    string.ascii_uppercase + string.digits,
    string.ascii_lowercase + string.digits,
    "0123456789abcdef",
)
KEYS = {
    "AWS": f"AKIA{some(16, UPPER)}",
    "AWS, for a while": f"ASIA{some(16, UPPER)}",
    "Anthropic": f"sk-ant-api03-{some(93)}AA",
    "GitHub": f"ghp_{some(36)}",
    "GitHub's app": f"ghs_{some(36)}",
    "GitHub, fine": f"github_pat_{some(22)}_{some(59)}",
    "GitLab": f"glpat-{some(20)}",
    "GitLab's runner": f"glrt-{some(20)}",
    "Google": f"AIza{some(35)}",
    "Google's OAuth": f"GOCSPX-{some(28)}",
    "Groq": f"gsk_{some(52)}",
    "Hugging Face": f"hf_{some(34)}",
    "Mailchimp": f"{some(32, HEX)}-us12",
    "Telegram": f"{some(9, string.digits)}:{some(35)}",
    "Twilio": f"SK{some(32, HEX)}",
    "JWT": f"eyJ{some(30)}.eyJ{some(60)}.{some(43)}",
    "NVIDIA": f"nvapi-{some(64)}",
    "OpenAI": f"sk-{some(48)}",
    "OpenAI's project": f"sk-proj-{some(80)}",
    "OpenRouter": f"sk-or-v1-{some(64, HEX)}",
    "PyPI": f"pypi-AgEIcHlwaS5vcmc{some(90)}",
    "SendGrid": f"SG.{some(22)}.{some(43)}",
    "Slack": f"xoxb-{some(12, string.digits)}-{some(13, string.digits)}-{some(24)}",
    "Slack's app": f"xapp-1-{some(11, UPPER)}-{some(13, string.digits)}-{some(64, HEX)}",
    "Stripe": f"sk_live_{some(24)}",
    "Weights & Biases": f"wandb_v1_{some(27)}_{some(50)}",
    "xAI": f"xai-{some(80)}",
}
AROUND = [
    "{}",
    "error: {} was refused",
    '"{}",',
    "store.x={}",
    "https://api.host/v1?x={}&y=1",
    "a\n{}\nb",
    "({})",
]


@each("service", KEYS)
@each("around", AROUND)
def test_a_key_is_masked_whole_wherever_it_stands(service: str, around: str) -> None:
    key = KEYS[service]
    shown = redact.redact({"a": [around.format(key)]})["a"][0]
    assert MASK in shown
    assert not any(key[at : at + 8] in shown for at in range(4, len(key) - 8)), shown
    assert redact.has_key(around.format(key))


@each(
    ("said", "secret"),
    [
        ("WANDB_API_KEY={}", some(40, HEX)),
        ("wandb login {}", some(40, HEX)),
        ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("Authorization: Bearer {}", "abcdef"),
        ("Authorization: Basic {}", "dXNlcjpwdw=="),
        ('{{"password": "{}", "x": 1}}', "two words"),
        ("db.passwd={}", "hunter2"),
        ("export HF_TOKEN={} && run", "abc"),
        ("--token={}", "abc"),
        ("//registry.npmjs.org/:_authToken={}", "0a1b"),
        ("private_key: {}", "MIIE"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1r\nZXk"),
        ("-----BEGIN PRIVATE KEY-----\n{}", "cut off before its end"),
        ("postgresql://joe:{}@host/lab", "hunter2"),
        ("postgresql://joe:{}@host:5432/lab", "p@ss:w/rd"),
        ("postgresql://:{}@host/lab", "hunter2"),
        ("postgresql://host/lab?user=joe&password={}&x=1", "hunter2"),
        ("connection to postgresql+psycopg://joe:{}@h/d failed, store.url=redis://:x@y", "hunter2"),
        ("http://joe:{}@proxy:3128", "hunter2"),
        ("https://hooks.slack.com/services/{}", "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXX7"),
    ],
)
def test_a_secret_in_a_text_is_masked_and_what_is_around_it_stays(said: str, secret: str) -> None:
    shown = redact.redact(said.format(secret))
    assert secret not in shown and MASK in shown
    first = said.partition("{}")[0].replace("{{", "{")
    assert shown.startswith("" if "BEGIN" in first or "hooks" in first else first[:12])


@each(
    "name",
    [
        "token",
        "hf_token",
        "auth",
        "passwd",
        "private_key",
        "apiKey",
        "api-key",
        "accessToken",
        "pwd",
        "DB_PASSWORD",
        "secret",
        "client_secret",
        "credentials",
        "authorization",
        "signing_key",
        "access_key",
        "Cookie",
    ],
)
def test_what_has_the_name_of_a_secret_is_masked(name: str) -> None:
    assert redact.redact({name: "x"}) == {name: MASK}
    assert redact.redact({"a": [{name: ["x", {"y": "z"}]}]}) == {"a": [{name: [MASK, {"y": MASK}]}]}
    assert redact.redact({name: None}) == {name: None}


def test_a_password_of_digits_is_masked_and_a_size_is_not() -> None:
    assert redact.redact({"password": 1234, "max_tokens": 100, "token": 3}) == {
        "password": MASK,
        "max_tokens": 100,
        "token": 3,
    }


PLAIN = [
    *(
        "http://localhost:8080/a@b",
        "git@github.com:a/b.git",
        "f" * 40,
        "0123456789abcdef" * 4,
        "routing: token",
    ),
    *(
        "llm.max_tokens=100",
        "the token: it is",
        "model.width=64 seed=3",
        "key_env: OPENAI_API_KEY",
        "token_joules=2",
    ),
    *(
        "sqlite:////tmp/a-1234/lab.db",
        "2026-11-29T16:15:20",
        "cpu:Intel(R) Xeon(R) Platinum 8481C x2",
        "password: ''",
    ),
    *(
        "compress.distill.teacher.recipe=[data=mnist1d,model.width=32]",
        "author: me",
        "tokenizer=bytes",
        "x: null",
    ),
    *(
        "a" * 5000,
        "12 34 " * 2000,
        "optimizer-seed-1f3a5c7e",
        "sk-learn",
        "tokens=12",
        "password=null",
        "secret_env=X",
    ),
]


@each("said", PLAIN)
def test_what_is_no_secret_stays(said: str) -> None:
    assert redact.redact(said) == said and not redact.has_key(said)


def test_no_option_and_no_word_of_the_lab_is_taken_for_a_secret() -> None:
    space = Space(ROOT / "conf", ROOT / "conf" / "space.yaml")
    vocabulary = json.loads(json.dumps(space.vocabulary()))
    assert redact.redact(vocabulary) == vocabulary
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        for line in path.read_text().splitlines():
            assert redact.redact(line) == line, path
    assert redact.redact(space.resolve([])) == space.resolve([])


@given(st.text(st.sampled_from("ab \n=:/@x"), max_size=400))
def test_no_letter_is_lost(said: str) -> None:
    assert "".join(redact._PIECE.findall(said)) == said


@pytest.mark.slow
def test_a_long_hostile_text_takes_no_long_time() -> None:
    started = time.process_time()
    for part in (
        "a-b.c_",
        "://",
        "password",
        "eyJaaaaaaaa",
        "A1-",
        "sk-a1",
        "-----BEGIN PRIVATE KEY",
        "x:y@",
        '="',
    ):
        redact.redact(part * (100_000 // len(part)))
    # Seconds each where a pattern is quadratic: far from what a busy machine adds.
    assert time.process_time() - started < 20


def test_a_plain_text_imports_nothing_for_it() -> None:
    code = (
        "import sys, redact; redact.redact(['model.width=64', '/tmp/a_folder_of_mine-1234/x', 'f' * 64]); "
        "sys.exit('detect_secrets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_job_tells_no_password(tmp_path: Path) -> None:
    typed = ["store.url=postgresql://joe:hunter2@host/lab", "seed=1"]
    assert Job({}, typed).overrides == [f"store.url=postgresql://joe:{MASK}@host/lab", "seed=1"]


def test_a_database_is_shown_without_passwords() -> None:
    url = "postgresql+psycopg://joe:hunter2@host/lab?sslpassword=hunter3&connect_timeout=3"
    shown = address.shown(url)
    assert "hunter" not in shown and "@host/lab?connect_timeout=3&" in shown


@each("service", KEYS)
def test_a_key_on_a_command_line_is_refused_without_being_told(service: str) -> None:
    with pytest.raises(refusal.Refusal, match="looks like a secret") as refused:
        refusal.refuse_secrets([f"llm.extra.x={KEYS[service]}"])
    assert KEYS[service] not in str(refused.value)


def test_a_sentence_tells_no_secret() -> None:
    error: Any = refusal.Refusal("No answer from postgresql://joe:hunter2@host/lab.")
    assert refusal.sentence(error) == f"refused: No answer from postgresql://joe:{MASK}@host/lab."


def test_a_report_tells_no_secret(tmp_path: Path) -> None:
    path = put("python train.py store.url=postgresql://joe:hunter2@host/lab", tmp_path)
    assert path.read_text() == f"python train.py store.url=postgresql://joe:{MASK}@host/lab"


def test_an_address_that_is_read_for_its_words_stays() -> None:
    for told in (
        "https://www.iea.org/reports/global-energy-review-2025/emissions",
        "global-average_of_2024_and_2025",
    ):
        assert redact.text(told) == told
