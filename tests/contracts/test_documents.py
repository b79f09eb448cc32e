"""The documents are true: the README's Python runs, the architecture page has every module, names of files exist."""

import re
from pathlib import Path

import pytest

from scalr.evaluation.models import model_names
from scalr.logs.schema import SYNTHETIC_COLUMNS

REPOSITORY = Path(__file__).parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "CHANGELOG.md")


def read(page: str) -> str:
    return (REPOSITORY / page).read_text()


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", read("README.md"), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_readme_explains_every_column() -> None:
    assert [name for name in SYNTHETIC_COLUMNS if f"`{name}`" not in read("README.md")] == []


def test_the_readmes_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE))
    mentioned = {word for page in PAGES for word in re.findall(r"^    make ([a-z-]+)", read(page), flags=re.MULTILINE)}
    assert mentioned
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_hold(page: str) -> None:
    links = re.findall(r"\]\((?!https://)([^)#]+)\)", read(page))
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_every_model_is_in_the_page_and_in_the_help() -> None:
    page, command = read("docs/models.md"), read("src/scalr/cli/study.py")
    assert [name for name in model_names() if f"| `{name}` |" not in page or name not in command] == []
