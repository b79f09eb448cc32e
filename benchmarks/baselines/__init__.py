"""Stage one as one would write it without scalr; one module per way.

All count, for every pair of items, the users behind it, keep the counts as a table, draw target items for every source
event in proportion to them, with replacement, and write Parquet with the columns that `scalr generate` writes. They do
a little less: confidence and support leave the user's own items out but the draw does not, pairs that are already real
stay, and none digests its inputs nor promises the same bytes for another order of the rows.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

Baseline = Callable[[Path, Path, Path, int, int], None]
"""Called with source, target, out, draws per event, seed."""

NAMES = {
    "duckdb": ("duckdb", "generate"),
    "duckdb-codes": ("duckdb", "generate_by_codes"),
    "polars": ("polars", "generate"),
    "polars-codes": ("polars", "generate_by_codes"),
    "scipy": ("scipy", "generate"),
    "sparse-dot-topn": ("sparse_dot_topn", "generate"),
    "spark": ("spark", "generate"),
}
"""The module and the function of each."""

COLUMNS = (
    "user_id", "item_id", "timestamp", "is_synthetic", "weight", "confidence", "support", "source_domain",
    "source_item", "source_event", "draw", "generation_id",
)  # fmt: skip
"""What each writes, in this order."""

SOURCE_DOMAIN = "source"
GENERATION_ID = "0123456789abcdef"


def installed(name: str) -> bool:
    """Tell whether the package of a baseline is there."""
    module = NAMES[name][0]
    return importlib.util.find_spec({"spark": "pyspark"}.get(module, module)) is not None


def load(name: str) -> Baseline:
    """Return a baseline."""
    module, function = NAMES[name]
    baseline: Baseline = getattr(importlib.import_module(f"benchmarks.baselines.{module}"), function)
    return baseline
