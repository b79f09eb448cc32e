"""The layout's rules: imports point one way, names say something, files stay short, `import scalr` is light."""

import ast
import importlib
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest

import scalr

ROOT = Path(scalr.__file__).parent

ORDER = (
    "errors",
    "schema",
    "receipt",
    "progress",
    "pieces",
    "memory",
    "settings",
    "config",
    "kernels",
    "rng",
    "domain",
    "times",
    "engines",
    "vocabulary",
    "roles",
    "columns",
    "arrange",
    "tally",
    "store",
    "synthetic",
    "intake",
    "scan",
    "items",
    "summary",
    "reading",
    "split",
    "simulate",
    "metrics",
    "align",
    "translators",
    "sample",
    "refine",
    "translation_quality",
    "facts",
    "stream",
    "narrowing",
    "negatives",
    "controls",
    "features",
    "models",
    "train",
    "rivals",
    "evaluate",
    "trials",
    "arms",
    "gate",
    "rounds",
    "auto",
    "contest",
    "study",
    "recalibrate",
    "impressions",
    "logistic",
    "conversion_gate",
    "workshop",
    "conversion_results",
    "conversions",
    "emit",
    "finished_parts",
    "generation",
    "spark",
    "released",
    "audit",
    "signs",
    "leaks",
    "unfinished",
    "output",
    "adapters",
    "report",
    "ablations",
    "sweeps",
    "job",
    "pipeline",
    "spark_job",
    "conversion_job",
    "plainyaml",
    "configfile",
    "repeat",
    "demo",
    "doctor",
    "cli",
)
"""A file or folder of src/scalr may import only those that stand before it (and a folder its own files)."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
MODELS = {"torch", "lightgbm", "implicit", "sklearn", "scipy"}
HEAVY = {*MODELS, "pyspark", "altair", "pandas", "polars", "numba", "duckdb", "pyarrow"}
HEAVY_FOR_THE_COMMAND = {*MODELS, "pyspark", "altair", "vl_convert", "pandas", "polars"}

SHADOWED = sorted(name for name, module in scalr._MODULE_OF.items() if name == module)
"""Public functions with the name of their module."""


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(ROOT.rglob("*.py"))}
"""Every module of the package by its dotted name."""


def imports_of(module: str) -> set[str]:
    """Modules of scalr that `module` imports anywhere: at the top, inside functions or for types only."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
    return {name for name in found if name.split(".")[0] == "scalr"} - {module}


IMPORTS = {module: imports_of(module) for module in FILES if module != "scalr"}


def unit_of(module: str) -> str:
    """The file or folder directly below src/scalr; empty for the package itself."""
    return [*module.split("."), ""][1]


EDGES = {(unit_of(a), unit_of(b)) for a, targets in IMPORTS.items() for b in targets}


def test_every_module_has_its_place_in_the_order() -> None:
    units = {unit_of(module) for module in IMPORTS} - {"__main__"}
    assert units - set(ORDER) == set(), "place the new module in ORDER"
    assert len(set(ORDER)) == len(ORDER)


def test_imports_point_one_way() -> None:
    place = {unit: position for position, unit in enumerate((*ORDER, "__main__"))}
    upward = {(a, b) for a, b in EDGES if b and a != b and place.get(a, -1) < place.get(b, -1)}
    assert upward == set()


def test_modules_import_from_modules_and_not_from_the_package() -> None:
    """Inside scalr only `__version__` comes from the package; other names from the module that has them."""
    taken = {
        (module, alias.name)
        for module in IMPORTS
        for node in ast.walk(ast.parse(FILES[module].read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "scalr"
        for alias in node.names
        if f"scalr.{alias.name}" not in FILES or alias.name in SHADOWED
    }
    assert {(module, name) for module, name in taken if name != "__version__"} == set()


def test_no_pair_of_units_imports_each_other() -> None:
    assert {(a, b) for a, b in EDGES if a < b and (b, a) in EDGES} == set()


def test_no_cycle_between_modules() -> None:
    """Reachability by repeated relaxation: a module must never reach itself."""
    reach = {module: {target for target in targets if target != "scalr"} for module, targets in IMPORTS.items()}
    for middle, start in product(reach, reach):
        if middle in reach[start]:
            reach[start] |= reach[middle]
    assert {module for module, reached in reach.items() if module in reached} == set()


def test_names_say_something() -> None:
    assert {module for module in FILES if VAGUE & set(module.split("."))} == set()


def test_files_are_short() -> None:
    repository = ROOT.parent.parent
    files = [file for folder in ("src", "tests", "benchmarks") for file in (repository / folder).rglob("*.py")]
    lengths = {str(file.relative_to(repository)): len(file.read_text().splitlines()) for file in files}
    assert {file: n for file, n in lengths.items() if n > 400} == {}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `statement`."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def test_import_is_light() -> None:
    assert loaded_by("import scalr") & HEAVY == set()


def test_command_starts_without_optional_parts() -> None:
    assert loaded_by("import scalr.cli") & HEAVY_FOR_THE_COMMAND == set()


def test_import_is_quick() -> None:
    """Less than 0.3 seconds beyond a bare interpreter: the fastest of five runs each."""

    def fastest(statement: str) -> float:
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    assert fastest("import scalr") - fastest("pass") < 0.3


@pytest.mark.parametrize("name", scalr.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(scalr, name) is not None
    assert name in dir(scalr)


def test_public_names_are_declared_for_type_checkers() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    declared = {
        (str(node.module).removeprefix("scalr."), alias.asname)
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {(module, name) for name, module in scalr._MODULE_OF.items()}


@pytest.mark.parametrize("name", SHADOWED)
@pytest.mark.parametrize("first", ["function", "module"])
def test_a_function_named_as_its_module_stays_the_function(name: str, first: str) -> None:
    by_function = f"from scalr import {name}"
    by_module = f"import scalr.{name}; import importlib; module = importlib.import_module('scalr.{name}')"
    lines = [by_function, by_module] if first == "function" else [by_module, by_function]
    check = (
        f"import scalr, types, pickle; assert isinstance({name}, types.FunctionType); assert scalr.{name} is {name}; "
        f"assert module.{name} is {name}; assert isinstance(module, types.ModuleType); "
        f"from scalr.{name} import {name} as again; assert again is {name}; "
        f"assert pickle.loads(pickle.dumps({name})) is {name}"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", "\n".join([*lines, check])], check=True)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = scalr.nonsense
    with pytest.raises(ImportError, match="nonsense"):
        importlib.import_module("scalr.nonsense")


def test_other_attributes_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalr, "__version__", "9.9.9")
    assert scalr.__version__ == "9.9.9"
    monkeypatch.setattr(scalr, "split", "a stand-in")
    assert scalr.split == "a stand-in"
