"""LightGBM on labelled rows with weights: positives, four uniform negatives each, with their weight."""

import tempfile
from pathlib import Path

import lightgbm as lgb
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

    params = {"objective": "binary", "min_data_per_group": 10, "verbose": -1}
    data = adapters.to_lightgbm(folder / "run", params=params)
    model = lgb.train(params, data, num_boost_round=20)
    shown = zip(model.feature_name(), model.feature_importance("gain").round().tolist(), strict=True)
    print("rows", data.num_data(), "gain", dict(shown))
