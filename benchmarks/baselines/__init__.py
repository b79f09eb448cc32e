"""Manual implementations of `scalr generate` in other libraries, one module per library.

Each baseline counts the users behind every pair of items, stores the counts as a table, draws target items for every
source event in proportion to them, with replacement, and writes Parquet with the columns of `scalr generate`. The
baselines do slightly less: confidence and support leave out the user's own items but the draw does not, pairs that are
already real remain, and no baseline computes digests of its inputs or guarantees the same bytes for another order of
the rows.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

Baseline = Callable[[Path, Path, Path, int, int], None]
"""Arguments: source, target, out, draws per event, seed."""

NAMES = {
    "duckdb": ("duckdb", "generate"),
    "duckdb-codes": ("duckdb", "generate_by_codes"),
    "polars": ("polars", "generate"),
    "polars-codes": ("polars", "generate_by_codes"),
    "scipy": ("scipy", "generate"),
    "sparse-dot-topn": ("sparse_dot_topn", "generate"),
    "spark": ("spark", "generate"),
}
"""Module and function of each baseline."""

COLUMNS = (
    "user_id", "item_id", "timestamp", "is_synthetic", "weight", "confidence", "support", "source_domain",
    "source_item", "source_event", "draw", "generation_id",
)  # fmt: skip
"""Columns of the output, in this order."""

SOURCE_DOMAIN = "source"
GENERATION_ID = "0123456789abcdef"


def installed(name: str) -> bool:
    """Return whether the package of a baseline is installed."""
    module = NAMES[name][0]
    return importlib.util.find_spec({"spark": "pyspark"}.get(module, module)) is not None


def load(name: str) -> Baseline:
    """Return a baseline."""
    module, function = NAMES[name]
    baseline: Baseline = getattr(importlib.import_module(f"benchmarks.baselines.{module}"), function)
    return baseline
