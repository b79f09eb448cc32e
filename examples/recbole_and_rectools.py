"""Files for libraries in a separate environment: RecBole gets thinned events, RecTools gets weights."""

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

    for library in ("recbole", "rectools"):
        main(["export", str(folder / "run"), "--to", library, "--out", str(folder / library)])
    print((folder / "recbole" / "recbole.inter").read_text()[:80])
    print(pq.read_table(folder / "rectools" / "interactions.parquet").slice(0, 3).to_pylist())
    assert adapters.get_adapter("recbole").how == "thinning"
