"""Polars with the streaming engine: join, group_by, join_asof; on string ids, or on categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.baselines import COLUMNS, GENERATION_ID, SOURCE_DOMAIN

_IDS = ("user_id", "item_id", "source_item")


def generate(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write `draws` synthetic events for every source event whose item has a count."""
    _generate(source, target, out, draws, seed, pl.String)


def generate_by_codes(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write the same events, with categories in place of ids until the end."""
    _generate(source, target, out, draws, seed, pl.Categorical)


def _generate(source: Path, target: Path, out: Path, draws: int, seed: int, kind: type[pl.DataType]) -> None:
    ids = pl.col("user_id", "item_id").cast(kind)
    events = pl.scan_parquet(source).with_columns(ids).rename({"item_id": "source_item"}).with_row_index("source_event")
    events = events.collect().lazy()
    target_pairs = pl.scan_parquet(target).select(ids).unique().collect().lazy()
    own = target_pairs.group_by("user_id").agg(n_own=pl.len().cast(pl.Int64))
    counts = (
        events.select("user_id", "source_item")
        .unique()
        .join(target_pairs, on="user_id")
        .group_by("source_item", "item_id")
        .agg(support=pl.len().cast(pl.Int64))
        .sort("source_item")
        .with_columns(start=(pl.col("support").cum_sum() - pl.col("support")).cast(pl.Float64))
        .collect(engine="streaming")
        .lazy()
    )
    totals = counts.group_by("source_item").agg(first=pl.col("start").min(), total=pl.col("support").sum())
    repeated = events.join(pl.LazyFrame({"draw": np.arange(draws, dtype=np.int32)}), how="cross")
    n = repeated.select(pl.len()).collect().item()
    uniform = pl.LazyFrame({"uniform": np.random.default_rng(seed).random(n)})
    points = (
        pl.concat([repeated, uniform], how="horizontal")
        .join(totals, on="source_item")
        .join(own, on="user_id", how="left")
        .with_columns(pl.col("n_own").fill_null(0), point=pl.col("first") + pl.col("uniform") * pl.col("total"))
        .filter(pl.col("total") > pl.col("n_own"))
        .drop("first", "uniform")
        .sort("point")
    )
    starts = counts.select("item_id", "support", "start")
    own_pairs = target_pairs.with_columns(is_own=pl.lit(1, pl.Int64))
    columns = {
        "is_synthetic": pl.lit(True),
        "weight": pl.lit(1.0, pl.Float32),
        "confidence": ((pl.col("support") - pl.col("is_own")) / (pl.col("total") - pl.col("n_own"))).cast(pl.Float32),
        "support": (pl.col("support") - pl.col("is_own")).cast(pl.Int32),
        "source_domain": pl.lit(SOURCE_DOMAIN),
        "source_event": pl.col("source_event").cast(pl.Int64),
        "generation_id": pl.lit(GENERATION_ID),
        **{name: pl.col(name).cast(pl.String) for name in _IDS},
    }
    (
        points.join_asof(starts, left_on="point", right_on="start", strategy="backward")
        .join(own_pairs, on=["user_id", "item_id"], how="left")
        .with_columns(pl.col("is_own").fill_null(0))
        .select(columns.get(name, pl.col(name)).alias(name) for name in COLUMNS)
        .sink_parquet(out, compression="zstd", compression_level=1)
    )
