"""The house rules that a machine can check: who imports whom, how long a file is, what it may be called."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("models", "research", "hydra_plugins", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
) + sorted(ROOT.glob("*.py"))
MODELS = [path for path in SOURCES if path.is_relative_to(ROOT / "models")]
RESEARCH = [path for path in SOURCES if path.is_relative_to(ROOT / "research")]
TENSORS = {"torch", "lightning", "torchmetrics", "models", "train", "agent"}
DECISIONS = {"hydra", "omegaconf", "research", "sqlalchemy", "optuna", "litellm", "train", "agent"}
FLOORS = {
    "models": [
        ["lit", "fit", "pipeline", "trial"],
        ["compress", "energy", "cost", "latency", "recompute"],
        ["nets", "optim", "losses", "data"],
    ],
    "research": [
        ["lab", "commands", "sprint", "report", "campaigns", "experiments", "sweeps"],
        ["runner", "row", "processes", "queue", "roles", "team", "memory", "episodes", "proposers"],
        ["space", "gate", "store", "database", "stats", "statistics", "llm", "language", "literature"],
        ["goal", "goals", "domains"],
        ["types"],
    ],
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def imports(path: Path) -> set[str]:
    """All modules that a file imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: write the whole name of what is imported"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODELS, ids=name)
def test_models_touch_no_decision(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & DECISIONS


@pytest.mark.parametrize("path", RESEARCH, ids=name)
def test_research_touches_no_tensor(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & TENSORS


@pytest.mark.parametrize("path", [path for path in MODELS if {"nets", "optim"} & set(path.parts)], ids=name)
def test_nets_and_optim_import_torch_only(path: Path) -> None:
    allowed = {
        "abc",
        "torch",
        "math",
        "collections",
        "dataclasses",
        "typing",
        "functools",
        "itertools",
        "refusal",
        "models",
        "contextlib",
        "warnings",
        # Inside of a function, by the option that uses it: its import costs 1.5 CPU seconds.
        "pytorch_optimizer",
    }
    assert {module.split(".")[0] for module in imports(path)} <= allowed
    below = {module for module in imports(path) if module.startswith("models.")}
    assert all(module.split(".")[1] in path.parts for module in below)


def floor(package: str, module: str) -> int | None:
    """The floor of a module, 0 at the top of its package; None where the design gives it none."""
    part = module.split(".")[1] if "." in module else ""
    return next((level for level, names in enumerate(FLOORS[package]) if part in names), None)


@pytest.mark.parametrize("path", MODELS + RESEARCH, ids=name)
def test_imports_go_down_only(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    own = floor(package, ".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module in imports(path):
        other = floor(package, module) if module.startswith(f"{package}.") else None
        assert own is None or other is None or other >= own, (
            f"{name(path)} imports {module}, which is above it"
        )


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_short_and_named_for_their_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert not re.search(r"utils?|helpers?|common|misc|base|manager", path.stem)


@pytest.mark.parametrize("path", [p for p in SOURCES if not p.is_relative_to(ROOT / "tests")], ids=name)
def test_a_class_is_abstract_or_final(path: Path) -> None:
    tree = ast.parse(path.read_text())
    abstract = {
        "ABC",
        "Protocol",
        "Exception",
        "Record",
        "BaseModel",
        "NamedTuple",
        "Refusal",
        "Enum",
        "TypedDict",
    }
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
        parents = {ast.unparse(parent).split("[")[0].split(".")[-1] for parent in node.bases}
        assert "final" in marks or parents & abstract, (
            f"{name(path)}: class {node.name} is neither abstract nor final"
        )


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=name)
def test_packages_explain_and_export_nothing(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{name(path)} holds more than a docstring"


def test_hydra_plugins_is_a_namespace() -> None:
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()


@pytest.mark.parametrize(
    "module",
    [
        "research.types",
        "research.space",
        "research.store",
        "research.llm",
        "research.memory",
        "agent",
        "train",
    ],
)
def test_decisions_start_without_heavy_imports(module: str) -> None:
    heavy = "{'torch','lightning','litellm','optuna','scipy','sklearn','wandb','codecarbon','matplotlib'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
