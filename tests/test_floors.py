"""The house rules that a machine can check: who imports whom, how long a file is, what it may be called."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("models", "research", "reading", "hydra_plugins", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
) + sorted(ROOT.glob("*.py"))
MODELS = [path for path in SOURCES if path.is_relative_to(ROOT / "models")]
READING = [path for path in SOURCES if path.is_relative_to(ROOT / "reading")]
RESEARCH = [path for path in SOURCES if path.is_relative_to(ROOT / "research")]
TENSORS = {"torch", "lightning", "torchmetrics", "models", "train", "agent"}
DECISIONS = {"hydra", "omegaconf", "research", "sqlalchemy", "optuna", "litellm", "train", "agent"}
FLOORS = {
    "models": [
        ["delivery", "startup", "trial"],
        ["inference", "pipeline"],
        ["backends"],
        ["measure", "own"],
        ["exports"],
        ["compress"],
        ["training"],
        ["energy"],
        ["data", "nets", "optim"],
    ],
    "research": [
        ["lab", "notebook"],
        ["tasks"],
        ["campaign"],
        ["report", "team"],
        ["propose"],
        ["memory"],
        ["literature", "run"],
        ["llm"],
        ["store"],
        ["stats"],
        ["space"],
        ["goal"],
        ["compose"],
        ["metrics"],
        ["page", "types"],
    ],
}
"""from the top of a wing down: whoever stands on a floor imports from its own unit and from below"""
SHORT_WITH_ONE_IMPORTER = {
    "models/energy/sources.py": "knows every counter; the meter would be over 300 lines with it",
    "models/measure/constant.py": "baselines of all tasks; the trial would be over 300 lines with them",
    "models/nets/mixers/softmax.py": "a mixer, one a file as the others",
}
"""files of under 60 lines that one other file imports -> why they stand alone; at most ten"""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name(path))


@final
@dataclass(frozen=True)
class Read:
    """What the rules ask of a file; its tree is let go, for millions of nodes slow every collection down."""

    imports: frozenset[str]
    """all modules that it imports anywhere in it, also inside functions"""
    public: tuple[str, ...]
    """classes at its top"""
    open: tuple[str, ...]
    """classes that are neither abstract nor final"""


@cache
def read(path: Path) -> Read:
    tree = parsed(path)
    inside = list(statements(tree))
    classes = [node for node in inside if isinstance(node, ast.ClassDef)]
    public = tuple(node.name for node in classes if node in tree.body and not node.name.startswith("_"))
    named = frozenset(module for node in inside for module in imported(path, node))
    return Read(named, public, tuple(node.name for node in classes if is_open(node)))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a file: imports and classes are among them, and not inside expressions."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(tree, field, ()):
            yield node
            yield from statements(node)


def imported(path: Path, node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{name(path)}:{node.lineno}: write the whole name of what is imported"
        return {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def importing(paths: list[Path], forbidden: set[str]) -> dict[str, set[str]]:
    """File -> what it imports of packages that it must not."""
    found = {
        name(path): {module.split(".")[0] for module in read(path).imports} & forbidden for path in paths
    }
    return {path: modules for path, modules in found.items() if modules}


def test_models_touch_no_decision() -> None:
    assert importing(MODELS, DECISIONS) == {}


def test_research_touches_no_tensor() -> None:
    assert importing(RESEARCH, TENSORS) == {}


def test_reading_stands_below_both() -> None:
    assert importing(READING, TENSORS | DECISIONS) == {}


def test_nets_and_optim_import_torch_only() -> None:
    library = "abc math collections dataclasses typing functools itertools contextlib warnings"
    # pytorch_optimizer inside of a function, by the option that uses it: its import costs 1.5 CPU seconds.
    allowed = {*library.split(), "torch", "refusal", "models", "pytorch_optimizer"}
    for path in [path for path in MODELS if {"nets", "optim"} & set(path.relative_to(ROOT).parts)]:
        assert {module.split(".")[0] for module in read(path).imports} <= allowed, name(path)
        below = {module for module in read(path).imports if module.startswith("models.")}
        assert all(module.split(".")[1] in path.parts for module in below), name(path)


def unit(module: str) -> str:
    """The folder or top file of a wing in which a module lies."""
    return module.split(".")[1] if "." in module else ""


def floor(package: str, module: str) -> int | None:
    """The floor of a module, 0 at the top of its package; None of the package itself."""
    return next((level for level, names in enumerate(FLOORS[package]) if unit(module) in names), None)


def module_of(path: Path) -> str:
    """The dotted name of a file; a package's face is the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def climbing(path: Path) -> list[str]:
    """What a file imports from its own floor, other units of it, or from above."""
    own = module_of(path)
    package = own.split(".")[0]
    others = {
        module
        for module in read(path).imports
        if module.startswith(f"{package}.") and unit(module) not in ("", unit(own))
    }
    levels = {module: floor(package, module) for module in others}
    return [
        module
        for module, level in levels.items()
        if level is not None and level <= (floor(package, own) or 0)
    ]


def test_every_module_has_a_floor() -> None:
    modules = {module_of(path): path for path in MODELS + RESEARCH}
    none = [name for name in modules if "." in name and floor(name.split(".")[0], name) is None]
    assert none == []
    named = {(package, name) for package, levels in FLOORS.items() for names in levels for name in names}
    assert named == {(name.split(".")[0], unit(name)) for name in modules if "." in name}


def test_imports_go_down_only() -> None:
    above = [f"{name(path)} imports {module}" for path in MODELS + RESEARCH for module in climbing(path)]
    assert above == []


def test_no_file_stands_beside_a_folder_of_its_idea() -> None:
    assert [name(path) for path in SOURCES if path.with_suffix("").is_dir()] == []


def test_a_public_class_name_is_defined_once() -> None:
    places: dict[str, list[str]] = {}
    for path in [*MODELS, *RESEARCH, *READING, *(ROOT / "power").glob("*.py"), *ROOT.glob("*.py")]:
        for each in read(path).public:
            places.setdefault(each, []).append(name(path))
    assert {each: where for each, where in places.items() if len(where) > 1} == {}


def test_sql_is_written_in_the_store_only() -> None:
    outside = [path for path in RESEARCH if not path.is_relative_to(ROOT / "research" / "store")]
    assert importing(outside, {"sqlalchemy"}) == {}


def test_a_short_file_with_one_importer_has_a_reason() -> None:
    inside = {module_of(path): path for path in MODELS + RESEARCH if path.name != "__init__.py"}
    named = {path: read(path).imports for path in SOURCES if not path.is_relative_to(ROOT / "tests")}
    short = {
        name(path)
        for module, path in inside.items()
        if len(path.read_text().splitlines()) < 60
        and sum(module in found for found in named.values()) == 1
        and module not in strings()
    }
    assert short - set(SHORT_WITH_ONE_IMPORTER) == set() and len(SHORT_WITH_ONE_IMPORTER) <= 10
    assert set(SHORT_WITH_ONE_IMPORTER) <= short, "no longer short, or imported by others too"


@cache
def strings() -> str:
    """What is named in strings: targets of conf/, and modules that are imported by their names."""
    texts = [path.read_text() for path in (ROOT / "conf").rglob("*.yaml")]
    return "\n".join([*texts, (ROOT / "research" / "run" / "runner.py").read_text()])


def taking_overrides_apart(path: Path) -> list[str]:
    """Where a file cuts a text at its `=` itself."""
    if not re.search("""(["'])=\\1""", path.read_text()):
        return []
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


def is_open(node: ast.ClassDef) -> bool:
    """Whether a class is neither abstract nor final."""
    abstract = {"ABC", "BaseModel", "Enum", "Exception", "NamedTuple", "Protocol", "Record", "Refusal"}
    abstract |= {"TypedDict"}
    marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
    parents = {ast.unparse(parent).split("[")[0].split(".")[-1] for parent in node.bases}
    return "final" not in marks and not parents & abstract


def test_a_class_is_abstract_or_final() -> None:
    own = [path for path in SOURCES if not path.is_relative_to(ROOT / "tests")]
    assert [f"{name(path)}: class {one}" for path in own for one in read(path).open] == []


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
