"""The documents are true: code runs, commands, options, modules and files exist, tables are whole."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main

from scalr import cli
from scalr.evaluation.models import model_names
from scalr.logs.schema import SYNTHETIC_COLUMNS

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "scalr"
TOPICS = sorted(f"docs/{file.name}" for file in (REPOSITORY / "docs").glob("*.md"))
PAGES = ("README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "CHANGELOG.md", *TOPICS)
TODAY = [page for page in PAGES if page not in ("CHANGELOG.md", "docs/moves.md")]
"""Pages that name nothing of earlier versions."""


def read(page: str) -> str:
    return (REPOSITORY / page).read_text()


def tables(page: str) -> list[list[list[str]]]:
    """Tables of a page: rows of cells, the row of dashes left out."""
    blocks = re.findall(r"(?:^\|.*\n)+", read(page) + "\n", flags=re.MULTILINE)
    rows = [[line.strip().strip("|").split("|") for line in block.splitlines()] for block in blocks]
    return [[[cell.strip() for cell in row] for row in [table[0], *table[2:]]] for table in rows]


def codes(page: str) -> list[str]:
    """Code of a page that is no Python: lines of indented blocks, continuations joined, and spans."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ {4}\S.*", text.replace("\\\n", ""), flags=re.MULTILINE)
    prose = " ".join(line.strip() for line in text.splitlines() if not line.startswith("    "))
    return [re.sub(r"\s#.*", "", line).strip() for line in lines] + re.findall(r"`([^`]+)`", prose)


def module_has(dotted: str) -> bool:
    """Whether a dotted name below `scalr` is a module, or a name that the last module on its way has."""
    place, names = PACKAGE, dotted.split(".")[1:]
    while names and ((place / names[0]).is_dir() or (place / f"{names[0]}.py").is_file()):
        place = place / names.pop(0)
    if not names:
        return True
    files = [place.with_suffix(".py"), place / "__init__.py", place / "__init__.pyi"]
    return any(re.search(rf"\b{names[0]}\b", file.read_text()) for file in files if file.is_file())


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", read("README.md"), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_readme_explains_every_column() -> None:
    assert [name for name in SYNTHETIC_COLUMNS if f"`{name}`" not in read("README.md")] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_hold(page: str) -> None:
    links = re.findall(r"\]\((?!https://)([^)#]+)\)", read(page))
    assert [link for link in links if not (REPOSITORY / page).parent.joinpath(link).exists()] == []


def test_every_model_is_in_the_page_and_in_the_help() -> None:
    page = read("docs/models.md")
    option = next(option for option in commands()["study"].params if "--model" in option.opts)
    names = re.findall(r"\w+", str(getattr(option, "help", "")))
    assert [name for name in model_names() if f"| `{name}` |" not in page or name not in names] == []


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE))
    calls = [code.split()[1:] for page in PAGES for code in codes(page) if code.startswith("make ")]
    mentioned = {word for words in calls for word in words if "=" not in word}
    assert {"demo", "test", "trust"} <= mentioned
    assert mentioned - targets == set()


def test_modules_that_python_runs_exist() -> None:
    named = {name for page in PAGES for code in codes(page) for name in re.findall(r"\bpython -m ([\w.]+)", code)}
    assert "benchmarks.evidence" in named
    ours = {name for name in named if name.startswith("benchmarks.")}
    places = [REPOSITORY.joinpath(*name.split(".")) for name in ours]
    missing = [place for place in places if not (place.is_dir() or place.with_suffix(".py").is_file())]
    assert missing == []
    assert {name for name in named - ours - {"venv"} if find_spec(name) is None} == set()


def commands() -> dict[str, Any]:
    """Subcommands of `scalr` by name."""
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def calls_of(page: str) -> list[str]:
    """What a page writes of the command `scalr`, from the subcommand on."""
    pieces = [piece for code in codes(page) for piece in re.split(r"\s{2,}(?=scalr )", code)]
    matches = [re.match(r"(?:[A-Z_]+=\S+ +)?scalr +(.*)", piece) for piece in pieces]
    return [match[1] for match in matches if match]


def options_of(command: Any) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: str) -> None:
    known = {name: options_of(command) for name, command in commands().items()}
    for call in calls_of(page):
        name, *words = call.split()
        assert name in known or name.startswith("--"), call
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options - known.get(name, set().union(*known.values())) == set(), call


@pytest.mark.parametrize("page", PAGES)
def test_options_by_themselves_belong_to_some_command(page: str) -> None:
    foreign = {"--py-files", "--follow", "--fix", "--kills", "--soak-minutes"}
    known = set().union(*map(options_of, commands().values()), foreign)
    for benchmark in (REPOSITORY / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', benchmark.read_text()))
    spans = [code for code in codes(page) if code.startswith("--")]
    assert {word for span in spans for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)} - known == set()


@pytest.mark.parametrize("page", TODAY)
def test_modules_and_names_of_the_package_exist(page: str) -> None:
    named = set(re.findall(r"\bscalr(?:\.[A-Za-z_]\w*)+", read(page))) - {"scalr.yaml"}
    assert {name for name in named if not module_has(name)} == set()


@pytest.mark.parametrize("page", TODAY)
def test_files_and_tests_exist(page: str) -> None:
    text = read(page)
    files = set(re.findall(r"\b(?:src|tests|benchmarks|docs|examples)/[\w/.-]+\.(?:py|md|svg)\b", text))
    assert {file for file in files if not (REPOSITORY / file).is_file()} == set()
    for file, test in set(re.findall(r"\b(test_\w+\.py)::(\w+)", text)):
        files_with_it = [place for place in (REPOSITORY / "tests").rglob(file) if f"def {test}(" in place.read_text()]
        assert files_with_it, f"{file}::{test}"


@pytest.mark.parametrize("page", PAGES)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page: str) -> None:
    for head, *rows in tables(page):
        assert [row for row in rows if len(row) != len(head)] == []


def test_terms_of_the_glossary_are_unique_and_have_a_meaning() -> None:
    rows = [row for head, *rows in tables("GLOSSARY.md") for row in rows]
    terms = [term.strip() for row in rows for term in row[0].split(",")]
    assert len(terms) > 90
    assert {term for term in terms if terms.count(term) > 1} == set()
    assert [row for row in rows if not all(row)] == []


def test_names_in_the_glossary_are_in_the_code() -> None:
    """Each word of the column `in code` stands somewhere in the package as a whole word."""
    words = set(re.findall(r"\w+", "\n".join(file.read_text() for file in PACKAGE.rglob("*.py"))))
    words |= set(re.findall(r"^([a-z]+) = \[", read("pyproject.toml"), flags=re.MULTILINE)) | {"scalr"}
    spans = [span for head, *rows in tables("GLOSSARY.md") for row in rows for span in re.findall(r"`([^`]+)`", row[1])]
    assert {span for span in spans if not set(re.findall(r"\w+", span)) <= words} == set()


def test_moved_modules_are_where_the_page_puts_them() -> None:
    rows = [row for head, *rows in tables("docs/moves.md") if head == ["old", "new"] for row in rows]
    places = {place.strip("/") for row in rows for place in re.findall(r"`([^`]+)`", row[1])}
    assert len(places) > 80
    assert {
        place for place in places if not ((PACKAGE / place).is_dir() or (PACKAGE / f"{place}.py").is_file())
    } == set()
    unchanged = [
        (row[1].strip("`/"), name) for row in rows for name in re.findall(r"`(\w+)`", row[0]) if row[1].endswith("/`")
    ]
    assert {(place, name) for place, name in unchanged if not (PACKAGE / place / f"{name}.py").is_file()} == set()


def test_contributing_lists_every_wing() -> None:
    wings = {place.name for place in PACKAGE.iterdir() if (place / "__init__.py").is_file()}
    tree = re.findall(r"^ {6}([a-z]+)/ ", read("CONTRIBUTING.md"), flags=re.MULTILINE)
    suites = {place.name for place in (REPOSITORY / "tests").iterdir() if place.is_dir()} - {"__pycache__"}
    assert set(tree) == wings | suites
