"""What a trial has of the environment: what it needs, what is let through, and no secret."""

import textwrap
from pathlib import Path

import pytest

from research.run.runner import Job, Runner

TASK = """
    import os

    def trial(config, *, overrides, sweep, source, threads):
        facts = {"environment": dict(os.environ), "mask": oct(os.umask(0))}
        return {"status": "done", "trial_id": 7, "score": 0.5, "metrics": {}, "facts": facts}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "errand.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def runner(folder: Path, **settings: object) -> Runner:
    return Runner(**{"task": "errand:trial", "preload": (), "logs": folder / "logs", **settings})  # type: ignore[arg-type]


def job(do: str, **more: object) -> Job:
    return Job({"do": do, **more}, [f"do={do}"], "group-1", "test")


SECRETS = {
    "OPENAI_API_KEY": "1",
    "ANTHROPIC_API_KEY": "2",
    "AWS_SECRET_ACCESS_KEY": "3",
    "HF_TOKEN": "4",
    "HUGGING_FACE_HUB_TOKEN": "5",
    "GITHUB_TOKEN": "6",
    "DATABASE_URL": "postgresql://user:password@host/lab",
    "PGPASSWORD": "7",
    "MY_OWN": "8",
    "MY_OTHER": "9",
    "SSH_AUTH_SOCK": "/run/agent",
}
GIVEN = {
    "WANDB_MODE": "offline",
    "OMP_PROC_BIND": "false",
    "HF_HOME": "/cache",
    "JOULELAB_X": "1",
    "LANG": "C",
}


@pytest.mark.parametrize(
    ("let", "url", "kept"),
    [
        ("", "sqlite:///lab.db", set()),
        ("", "postgresql+psycopg://host/lab", {"PGPASSWORD"}),
        ("MY_OWN, HF_TOKEN", "sqlite:///lab.db", {"MY_OWN", "HF_TOKEN"}),
        ("MY_*", "sqlite:///lab.db", {"MY_OWN", "MY_OTHER"}),
    ],
)
def test_a_trial_has_of_the_environment_what_it_needs_and_what_is_let_through(
    folder: Path, monkeypatch: pytest.MonkeyPatch, let: str, url: str, kept: set[str]
) -> None:
    for name, value in (SECRETS | GIVEN | {"JOULELAB_LET_THROUGH": let}).items():
        monkeypatch.setenv(name, value)
    with runner(folder) as running:
        (one,) = running.run([job("environment", store={"url": url})])
    found = one.facts["environment"]
    assert {name: found[name] for name in GIVEN} == GIVEN and "PATH" in found
    assert found.keys() & SECRETS.keys() == kept
    assert one.facts["mask"] == "0o77", "what it writes is nobody else's"
