"""Stage one as one would write it without scalr, in DuckDB SQL and in Polars: `python -m benchmarks.baselines`.

Both count, for every pair of items, the users behind it (a join and a group by), keep the counts as a table, draw one
target item per source event in proportion to its count (a random point between the cumulative counts: an ASOF join),
and write Parquet. They do a little less than `scalr generate`: confidence and support leave the user's own items out,
but the draw does not, and neither digests its inputs nor promises the same bytes for another order of the rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def generate_with_duckdb(source: Path, target: Path, out: Path, seed: int) -> None:
    """Write one synthetic event per source event whose item has a count, with DuckDB."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SELECT setseed(?)", [1 / (2 + seed)])
    connection.execute(f"CREATE VIEW source_log AS FROM read_parquet('{source}')")
    connection.execute(f"CREATE VIEW target_log AS FROM read_parquet('{target}')")
    connection.execute(
        """
        CREATE TABLE target_pairs AS SELECT DISTINCT user_id, item_id FROM target_log;
        CREATE TABLE counts AS
            SELECT source_item, item_id, support,
                sum(support) OVER (PARTITION BY source_item ORDER BY item_id) - support AS start,
                sum(support) OVER (PARTITION BY source_item) AS total
            FROM (
                SELECT source_item, item_id, count(*) AS support
                FROM (SELECT DISTINCT user_id, item_id AS source_item FROM source_log)
                JOIN target_pairs USING (user_id)
                GROUP BY ALL
            );
        """
    )
    connection.execute(
        f"""
        COPY (
            WITH totals AS (SELECT source_item, any_value(total) AS total FROM counts GROUP BY source_item),
            own AS (SELECT user_id, count(*) AS n_own FROM target_pairs GROUP BY user_id),
            events AS (
                SELECT user_id, item_id AS source_item, row_number() OVER () - 1 AS source_event, timestamp
                FROM source_log
            ),
            points AS (
                SELECT events.*, random() * total AS point FROM events JOIN totals USING (source_item)
            ),
            draws AS (
                SELECT points.*, counts.item_id, counts.support, counts.total
                FROM points ASOF JOIN counts
                ON points.source_item = counts.source_item AND points.point >= counts.start
            )
            SELECT user_id, item_id, timestamp, source_item, source_event, 0::INTEGER AS draw,
                (support - (target_pairs.user_id IS NOT NULL)::INTEGER)::INTEGER AS support,
                ((support - (target_pairs.user_id IS NOT NULL)::INTEGER)
                    / (total - coalesce(n_own, 0)))::FLOAT AS confidence,
                1::FLOAT AS weight
            FROM draws LEFT JOIN target_pairs USING (user_id, item_id) LEFT JOIN own USING (user_id)
            WHERE total > coalesce(n_own, 0)
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
        """
    )


def generate_with_polars(source: Path, target: Path, out: Path, seed: int) -> None:
    """Write one synthetic event per source event whose item has a count, with Polars."""
    import numpy as np
    import polars as pl

    events = pl.read_parquet(source).rename({"item_id": "source_item"}).with_row_index("source_event")
    target_pairs = pl.scan_parquet(target).select("user_id", "item_id").unique().collect()
    own = target_pairs.group_by("user_id").agg(n_own=pl.len())
    counts = (
        events.lazy()
        .select("user_id", "source_item")
        .unique()
        .join(target_pairs.lazy(), on="user_id")
        .group_by("source_item", "item_id")
        .agg(support=pl.len().cast(pl.Int64))
        .sort("source_item", "item_id")
        .with_columns(
            start=(pl.col("support").cum_sum().over("source_item") - pl.col("support")).cast(pl.Float64),
            total=pl.col("support").sum().over("source_item"),
        )
        .collect()
    )
    totals = counts.group_by("source_item").agg(pl.col("total").first())
    uniform = pl.Series("uniform", np.random.default_rng(seed).random(len(events)))
    points = (
        events.with_columns(uniform)
        .join(totals, on="source_item")
        .with_columns(point=pl.col("uniform") * pl.col("total"))
        .sort("point")
    )
    draws = points.drop("total", "uniform").join_asof(
        counts.sort("start"), left_on="point", right_on="start", by="source_item", strategy="backward"
    )
    mine = target_pairs.with_columns(is_own=pl.lit(1, pl.Int64))
    (
        draws.join(mine, on=["user_id", "item_id"], how="left")
        .join(own, on="user_id", how="left")
        .with_columns(pl.col("is_own").fill_null(0), pl.col("n_own").fill_null(0).cast(pl.Int64))
        .filter(pl.col("total") > pl.col("n_own"))
        .select(
            "user_id",
            "item_id",
            "timestamp",
            "source_item",
            "source_event",
            draw=pl.lit(0, pl.Int32),
            support=(pl.col("support") - pl.col("is_own")).cast(pl.Int32),
            confidence=((pl.col("support") - pl.col("is_own")) / (pl.col("total") - pl.col("n_own"))).cast(pl.Float32),
            weight=pl.lit(1.0, pl.Float32),
        )
        .write_parquet(out, compression="zstd", compression_level=1)
    )


BASELINES = {"duckdb": generate_with_duckdb, "polars": generate_with_polars}


def main() -> None:
    """Run the baseline named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", choices=BASELINES)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    BASELINES[options.baseline](options.source, options.target, options.out, options.seed)


if __name__ == "__main__":
    main()
