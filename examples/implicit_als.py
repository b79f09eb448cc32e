"""implicit's ALS: the weights are confidences; alpha raises them above those of unobserved pairs."""

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

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

    data = adapters.to_implicit(folder / "run")
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=8, iterations=5, alpha=40, random_state=1)
        model.fit(data.values, show_progress=False)
    places, scores = model.recommend(0, data.values[0], N=3)
    print("user", data.users[0], "gets", data.items.take(places).to_pylist(), scores.round(2).tolist())
