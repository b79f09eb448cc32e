"""Real and weighted synthetic events as frames: the weights are a column."""

import tempfile
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import scalr
from scalr import adapters
from scalr.cli import main

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    world = scalr.simulate(n_users=200, n_source_items=60, n_target_items=40, seed=1)
    logs = []  # on your own logs: scalr generate --source feed.parquet --target ads.parquet --out run
    for log in ("source", "target"):
        pq.write_table(getattr(world, log), folder / f"{log}.parquet")
        logs += [f"--{log}", str(folder / f"{log}.parquet")]
    main(["generate", *logs, "--out", str(folder / "run"), "--quiet"])

    events = adapters.read_run(folder / "run")
    print(adapters.to_duckdb(events).aggregate("is_synthetic, count(*) AS events, sum(weight) AS weight"))
    popular = adapters.to_polars(events).group_by("item").agg(pl.col("weight").sum())
    print(popular.sort("weight", "item", descending=True).head(3))
    print(adapters.to_pandas(events).groupby("is_synthetic")["weight"].mean())
