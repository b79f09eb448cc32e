"""Modules whose doctests need an optional library are left out where it is not installed."""

from importlib.util import find_spec

NEED_TORCH = (
    "adapters/loader.py",
    *(f"models/deep/{name}.py" for name in ("checkpoints", "fitted", "learner", "networks", "steps")),
)

collect_ignore = [] if find_spec("torch") else [f"src/scalr/{file}" for file in NEED_TORCH]
