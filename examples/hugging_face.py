"""A Hugging Face data set of the run's events, in batches of NumPy arrays."""

import tempfile
from pathlib import Path

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

    data = adapters.to_huggingface(folder / "run").with_format("numpy")
    print(data)
    for batch in data.iter(batch_size=10_000):
        print(len(batch["item"]), "events with total weight", batch["weight"].sum().round(1))
