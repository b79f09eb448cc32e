"""PySpark on all cores of this machine, with its DataFrame functions.

Spark has no ASOF join without a comparison of all pairs of rows. Instead, points and counts are in one column, sorted
within every source item, and a window function returns the last count before a point.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.baselines import COLUMNS, GENERATION_ID, SOURCE_DOMAIN
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f

MEMORY = "8g"


def generate(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write `draws` synthetic events for every source event whose item has a count, into a folder."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", MEMORY)
        .config("spark.local.dir", f"{out}.tmp")
        .config("spark.sql.shuffle.partitions", 4 * (os.cpu_count() or 1))
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    events = (
        spark.read.parquet(str(source))
        .withColumnRenamed("item_id", "source_item")
        .withColumn("source_event", f.monotonically_increasing_id())
    )
    pairs = spark.read.parquet(str(target)).select("user_id", "item_id").distinct().cache()
    counts = _counts(events, pairs).cache()
    totals = counts.groupBy("source_item").agg(f.sum("support").alias("total"))
    own = pairs.groupBy("user_id").agg(f.count("*").alias("n_own"))
    points = (
        events.join(totals, "source_item")
        .join(own, "user_id", "left")
        .fillna(0, ["n_own"])
        .where("total > n_own")
        .withColumn("draw", f.explode(f.sequence(f.lit(0), f.lit(draws - 1))))
        .withColumn("place", f.rand(seed) * f.col("total"))
    )
    drawn = _last_start_before(points, counts)
    own_pairs = pairs.withColumn("is_own", f.lit(1))
    support = f.col("support") - f.col("is_own")
    columns: dict[str, Column] = {
        "is_synthetic": f.lit(True),
        "weight": f.lit(1.0).cast("float"),
        "confidence": (support / (f.col("total") - f.col("n_own"))).cast("float"),
        "support": support.cast("int"),
        "source_domain": f.lit(SOURCE_DOMAIN),
        "generation_id": f.lit(GENERATION_ID),
    }
    (
        drawn.join(own_pairs, ["user_id", "item_id"], "left")
        .fillna(0, ["is_own"])
        .select(*(columns.get(name, f.col(name)).alias(name) for name in COLUMNS))
        .write.option("compression", "zstd")
        .parquet(str(out))
    )
    spark.stop()


def _counts(events: DataFrame, pairs: DataFrame) -> DataFrame:
    """Return the number of users behind every pair of items, and the start of its share of the item's points."""
    before = Window.partitionBy("source_item").orderBy("item_id").rowsBetween(Window.unboundedPreceding, -1)
    return (
        events.select("user_id", "source_item")
        .distinct()
        .join(pairs, "user_id")
        .groupBy("source_item", "item_id")
        .agg(f.count("*").alias("support"))
        .withColumn("start", f.coalesce(f.sum("support").over(before), f.lit(0)).cast("double"))
    )


def _last_start_before(points: DataFrame, counts: DataFrame) -> DataFrame:
    """Return every point with the item and the support of the range that contains it."""
    drawn = f.struct("item_id", "support")
    starts = counts.select("source_item", f.col("start").alias("place"), drawn.alias("drawn"))
    up_to_here = (
        Window.partitionBy("source_item").orderBy("place", "is_point").rowsBetween(Window.unboundedPreceding, 0)
    )
    return (
        points.withColumn("is_point", f.lit(1))
        .unionByName(starts.withColumn("is_point", f.lit(0)), allowMissingColumns=True)
        .withColumn("drawn", f.last("drawn", ignorenulls=True).over(up_to_here))
        .where("is_point = 1")
        .select("*", "drawn.*")
    )
