"""Modules whose doctests need an optional library are left out where it is not installed; options of `make trust`."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "src" / "scalr"


def needs_torch(module: Path) -> bool:
    """Return whether `module` imports torch as it is loaded."""
    return re.search(r"^(import|from) torch\b", module.read_text(encoding="utf-8"), re.MULTILINE) is not None


collect_ignore = [] if find_spec("torch") else [str(module) for module in SOURCE.rglob("*.py") if needs_torch(module)]


def pytest_addoption(parser: Any) -> None:
    """Let `make trust` do more of the same than the tests of every day."""
    parser.addoption("--kills", type=int, default=5, help="times that runs are killed at random moments")
    parser.addoption(
        "--soak-minutes", type=float, default=0.1, help="for how long events are generated again and again"
    )
