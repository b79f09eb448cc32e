"""Modules whose doctests need an optional library are left out where it is not installed; options of `make trust`."""

from importlib.util import find_spec
from typing import Any

NEED_TORCH = (
    "adapters/loader.py",
    *(
        f"evaluation/models/deep/{name}.py"
        for name in ("checkpoints", "fitted", "inbatch", "learner", "networks", "steps")
    ),
)

collect_ignore = [] if find_spec("torch") else [f"src/scalr/{file}" for file in NEED_TORCH]


def pytest_addoption(parser: Any) -> None:
    """Let `make trust` do more of the same than the tests of every day."""
    parser.addoption("--kills", type=int, default=5, help="times that runs are killed at random moments")
    parser.addoption(
        "--soak-minutes", type=float, default=0.1, help="for how long events are generated again and again"
    )
