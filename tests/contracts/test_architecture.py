"""The layout's rules: imports point one way, names say something, files stay short, `import scalr` is light."""

import ast
import importlib
import json
import subprocess
import sys
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks import structure

import scalr

ROOT = Path(scalr.__file__).parent

MAY_IMPORT = {
    "foundation": (),
    "logs": ("foundation",),
    "synthesis": ("logs", "foundation"),
    "engines": ("synthesis", "logs", "foundation"),
    "evaluation": ("synthesis", "logs", "foundation"),
    "studies": ("evaluation", "synthesis", "logs", "foundation"),
    "report": ("studies", "synthesis", "logs", "foundation"),
    "runs": ("report", "studies", "engines", "synthesis", "logs", "foundation"),
    "adapters": ("runs", "synthesis", "logs", "foundation"),
    "cli": ("adapters", "runs", "studies", "engines", "synthesis", "logs", "foundation"),
}
"""The import rule: a wing (a folder of src/scalr) may import these others, through their faces only."""

SUBFOLDERS = {
    "foundation": ("kernels",),
    "logs": ("tables", "readers"),
    "synthesis": ("kernels", "translators", "checks"),
    "engines": ("local", "spark"),
    "engines.spark": ("cluster", "reading", "fitting", "drawing"),
    "evaluation": ("kernels", "metrics", "models", "cross_domain"),
    "studies": ("choosing", "findings", "sweeps"),
}
"""Folders inside a wing; one may import those before it. `engines.local` and `engines.spark` never meet."""
APART = {("engines.local", "engines.spark"), ("engines.spark", "engines.local")}

CHAINS = {
    "fit": ("synthesis.translators", "synthesis.translators.cooccurrence", "synthesis.kernels.path_layout"),
    "sample": ("synthesis.sampling", "synthesis.translators.cooccurrence", "synthesis.kernels.uniform_paths"),
    "train": ("evaluation.training", "evaluation.models.mf", "evaluation.kernels.factorization"),
    "evaluate": ("evaluation.judging", "evaluation.kernels.ranking"),
}
"""From a public function to its compiled loop."""

PUBLIC_WITH_NINE = ("scalr.logs.reading.read_pair", "scalr.runs.running.run")

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
MODELS = {"torch", "lightgbm", "implicit", "sklearn", "scipy"}
HEAVY = {*MODELS, "pyspark", "altair", "pandas", "polars", "numba", "duckdb", "pyarrow"}
HEAVY_FOR_THE_COMMAND = {*MODELS, "pyspark", "altair", "vl_convert", "pandas", "polars"}


@cache
def imports() -> dict[str, set[str]]:
    """Modules of scalr that each module imports anywhere: at the top, inside functions or for types only."""
    return {module: structure.imports_of(module) for module in structure.files() if module != "scalr"}


def test_the_top_holds_wings_and_entry_files_only() -> None:
    entries = {path.stem for path in ROOT.iterdir()} - {"__pycache__", "py"}
    assert entries == {*MAY_IMPORT, "__init__", "__main__"}


def test_wings_import_what_the_rule_allows() -> None:
    crossing = {
        (structure.wing_of(module), structure.wing_of(target))
        for module in imports()
        for target in imports()[module]
        if structure.wing_of(module) and structure.wing_of(module) != structure.wing_of(target)
    }
    assert {(a, b) for a, b in crossing if b not in MAY_IMPORT[a]} == set()


def test_the_rule_allows_nothing_that_is_not_used() -> None:
    used = {
        (structure.wing_of(module), structure.wing_of(target)) for module in imports() for target in imports()[module]
    }
    assert {(wing, other) for wing, others in MAY_IMPORT.items() for other in others} - used == set()


def test_wings_are_imported_through_their_faces() -> None:
    past = {
        (module, target)
        for module in imports()
        for target in imports()[module]
        if structure.wing_of(module) != structure.wing_of(target) and target.count(".") > 1
    }
    assert past == set()


def test_nothing_inside_imports_its_own_face_or_the_package() -> None:
    own = {(module, f"scalr.{structure.wing_of(module)}") for module in imports() if structure.wing_of(module)}
    assert {(module, face) for module, face in own if face in imports()[module] and face != "scalr.cli"} == set()
    assert {module for module in imports() if "scalr" in imports()[module]} == set()


def folder_of(module: str) -> str:
    """The folder of a module below src/scalr, such as "engines.spark.drawing"."""
    return ".".join(structure.files()[module].relative_to(ROOT).parent.parts)


def test_folders_inside_a_wing_have_an_order() -> None:
    backwards = set()
    for parent, order in SUBFOLDERS.items():
        for module, targets in imports().items():
            for target in targets:
                places = [place_in(parent, order, one) for one in (module, target)]
                if None not in places and places[0] < places[1]:
                    backwards.add((module, target))
    assert backwards == set()


def place_in(parent: str, order: tuple[str, ...], module: str) -> int | None:
    """The place of a module's folder in the order of its parent; None elsewhere."""
    below = folder_of(module).removeprefix(f"{parent}.")
    folder = below.split(".")[0]
    return order.index(folder) if folder_of(module).startswith(f"{parent}.") and folder in order else None


def test_every_folder_inside_a_wing_is_in_the_order() -> None:
    below = {file.parent for file in structure.files().values() if len(file.relative_to(ROOT).parts) > 2}
    known = {f"{parent}.{folder}" for parent, order in SUBFOLDERS.items() for folder in order}
    known |= {"evaluation.models.deep"}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in below} == known


def test_local_and_spark_do_not_meet() -> None:
    pairs = {(folder_of(a)[:13], folder_of(b)[:13]) for a in imports() for b in imports()[a]}
    assert {(a.rstrip("."), b.rstrip(".")) for a, b in pairs} & {
        (a[:13].rstrip("."), b[:13].rstrip(".")) for a, b in APART
    } == set()


def test_wings_are_nouns_that_no_public_function_has() -> None:
    assert set(MAY_IMPORT) & set(scalr.__all__) == set()


@pytest.mark.parametrize("wing", ["", *MAY_IMPORT])
def test_no_name_of_a_face_is_that_of_a_module_beside_it(wing: str) -> None:
    """Importing the module would replace the name."""
    face = f"scalr.{wing}".rstrip(".")
    names = importlib.import_module(face).__all__ if (structure.files()[face].with_suffix(".pyi")).is_file() else []
    beside = {module.removeprefix(f"{face}.") for module in structure.files() if module.startswith(f"{face}.")}
    stub = structure.files()[face].with_suffix(".pyi").read_text() if names else ""
    assert {name for name in names if name in beside and f"from . import {name} " not in stub} == set()


@pytest.mark.parametrize("wing", [wing for wing in MAY_IMPORT if wing not in ("adapters", "cli")])
def test_a_face_lists_every_module_in_a_line(wing: str) -> None:
    folder = ROOT / wing
    entries = {path.stem + "/" * path.is_dir() for path in folder.iterdir() if path.suffix in ("", ".py")}
    listed = [
        line.split()[0]
        for line in str(ast.get_docstring(ast.parse((folder / "__init__.py").read_text())))
        .split("\n\n")[1]
        .splitlines()
    ]
    assert listed == sorted(entries - {"__init__", "__pycache__/"})


@pytest.mark.parametrize("wing", [wing for wing in MAY_IMPORT if wing not in ("adapters", "cli")])
def test_a_face_hands_out_what_others_use(wing: str) -> None:
    face = importlib.import_module(f"scalr.{wing}")
    for name in face.__all__:
        try:
            assert getattr(face, name) is not None
        except ModuleNotFoundError as error:
            if str(error.name).split(".")[0] not in HEAVY:
                raise


@pytest.mark.parametrize(("function", "chain"), CHAINS.items())
def test_three_files_from_a_public_function_to_its_loop(function: str, chain: tuple[str, ...]) -> None:
    """The files that a reader follows; the `__init__` of a family is a list of its members and no stop."""
    files = [f"scalr.{name}" for name in chain]
    assert len(files) <= 3
    assert getattr(scalr, function).__module__ == files[0]
    for file, following in pairwise(files):
        family = following.rpartition(".")[0]
        near = {file, *imports()[file]}  # the family, its protocol, or the face that hands it out
        knows_family = any(family in (one, one.rpartition(".")[0]) for one in near)
        knows_family |= f"scalr.{structure.wing_of(family)}" in near
        assert following in imports()[file] or (knows_family and following in imports()[family]), (file, following)
    assert ".kernels." in files[-1]


def test_no_cycle_between_modules() -> None:
    reach = structure.reachable(structure.graph())
    assert {module for module, reached in reach.items() if module in reached} == set()


def test_cycles_are_seen() -> None:
    assert structure.reachable({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})["a"] == {"a", "b", "c"}


def test_functions_are_short() -> None:
    lines = [one.lines for one in structure.functions()]
    assert structure.quantile(lines, 0.9) <= 25
    assert structure.quantile(lines, 0.99) <= 55
    assert [one for one in structure.functions() if one.lines > 90] == []


def test_functions_take_few_parameters() -> None:
    """Eight, and twelve for compiled loops; two public functions keep the nine they had."""
    many = {
        f"{one.module}.{one.name}": one.parameters
        for one in structure.functions()
        if one.parameters > (12 if one.is_kernel else 8)
    }
    assert {name: n for name, n in many.items() if name not in PUBLIC_WITH_NINE or n > 9} == {}


def test_a_public_name_is_defined_once() -> None:
    assert structure.repeated_names() == {}


def test_the_picture_is_current() -> None:
    """If not: `python -m benchmarks.structure --draw`."""
    assert structure.PICTURE.read_text(encoding="utf-8") == structure.drawing()


def test_names_say_something() -> None:
    assert {module for module in structure.files() if VAGUE & set(module.split("."))} == set()


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


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = scalr.nonsense
    with pytest.raises(ImportError, match="nonsense"):
        importlib.import_module("scalr.nonsense")
