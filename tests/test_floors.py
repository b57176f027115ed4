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
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name(path))


@cache
def imports(path: Path) -> frozenset[str]:
    """All modules that a file imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: write the whole name of what is imported"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def importing(paths: list[Path], forbidden: set[str]) -> dict[str, set[str]]:
    """File -> what it imports of packages that it must not."""
    found = {name(path): {module.split(".")[0] for module in imports(path)} & forbidden for path in paths}
    return {path: modules for path, modules in found.items() if modules}


def test_models_touch_no_decision() -> None:
    assert importing(MODELS, DECISIONS) == {}


def test_research_touches_no_tensor() -> None:
    assert importing(RESEARCH, TENSORS) == {}


def test_sql_is_written_in_the_store_alone() -> None:
    outside = [path for path in RESEARCH if not path.is_relative_to(ROOT / "research" / "store")]
    assert importing(outside, {"sqlalchemy"}) == {}


def test_nets_and_optim_import_torch_only() -> None:
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
    for path in [path for path in MODELS if {"nets", "optim"} & set(path.parts)]:
        assert {module.split(".")[0] for module in imports(path)} <= allowed, name(path)
        below = {module for module in imports(path) if module.startswith("models.")}
        assert all(module.split(".")[1] in path.parts for module in below), name(path)


def floor(package: str, module: str) -> int | None:
    """The floor of a module, 0 at the top of its package; None where the design gives it none."""
    part = module.split(".")[1] if "." in module else ""
    return next((level for level, names in enumerate(FLOORS[package]) if part in names), None)


def climbing(path: Path) -> list[str]:
    """What a file imports from above its floor."""
    package = path.relative_to(ROOT).parts[0]
    own = floor(package, ".".join(path.relative_to(ROOT).with_suffix("").parts))
    below = {module: floor(package, module) for module in imports(path) if module.startswith(f"{package}.")}
    return [module for module, other in below.items() if None not in (own, other) and other < own]


def test_imports_go_down_only() -> None:
    above = [f"{name(path)} imports {module}" for path in MODELS + RESEARCH for module in climbing(path)]
    assert above == []


def taking_overrides_apart(path: Path) -> list[str]:
    """Where a file cuts a text at its `=` itself."""
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call) and node.args]
    cuts = ("split", "rsplit", "partition", "rpartition", "find", "index")
    return [
        f"{name(path)}:{node.lineno}"
        for node in calls
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in cuts
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == "="
    ]


def test_an_override_is_taken_apart_in_compose_and_space_only() -> None:
    # refusal.py stands below both and hides what may be a key of somebody's account.
    others = [path for path in SOURCES if not {"compose", "space", "refusal.py"} & set(path.parts)]
    assert [place for path in others for place in taking_overrides_apart(path)] == []


def test_files_are_short_and_named_for_their_idea() -> None:
    assert [name(path) for path in SOURCES if len(path.read_text().splitlines()) > 300] == []
    named = re.compile(r"utils?|helpers?|common|misc|base|manager")
    assert [name(path) for path in SOURCES if named.search(path.stem)] == []


def open_classes(path: Path) -> list[str]:
    """Classes that are neither abstract nor final."""
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
    found = []
    for node in [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]:
        marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
        parents = {ast.unparse(parent).split("[")[0].split(".")[-1] for parent in node.bases}
        if "final" not in marks and not parents & abstract:
            found.append(f"{name(path)}: class {node.name}")
    return found


def test_a_class_is_abstract_or_final() -> None:
    own = [path for path in SOURCES if not path.is_relative_to(ROOT / "tests")]
    assert [one for path in own for one in open_classes(path)] == []


def test_packages_explain_and_export_nothing() -> None:
    for path in [path for path in SOURCES if path.name == "__init__.py"]:
        body = parsed(path).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{name(path)} holds more than a docstring"


def test_hydra_plugins_is_a_namespace() -> None:
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "research.types",
        "research.space.gate",
        "research.store.store",
        "research.llm.client",
        "research.memory.memory",
        "agent",
        "train",
    ],
)
def test_decisions_start_without_heavy_imports(module: str) -> None:
    heavy = "{'torch','lightning','litellm','optuna','scipy','sklearn','wandb','codecarbon','matplotlib'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
