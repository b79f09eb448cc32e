"""Logs larger than memory: what training takes does not grow with the rows."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

GROUP, USERS, ITEMS = 1 << 17, 1000, 500
WIDTH = 8 + 4 + 4 + 4 + 1  # bytes of a row in memory

TRAIN = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from scalr.foundation.config import TrainSettings
from scalr.evaluation.models.deep import fit_rows
from scalr.evaluation.models.deep.streamed import StreamedRows
from scalr.evaluation.models.deep.entities import Entities

torch.set_num_threads(1)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

users, items, window, batch = map(int, sys.argv[2:6])
entities = Entities(users, np.arange(items, dtype=np.int32), None, np.zeros((items, 0), np.int64), ())
settings = TrainSettings(model="two_tower", loss=sys.argv[6], dimensions=2, negatives=1, batch_size=batch)

def one_pass(file):
    real = StreamedRows.from_files([file], 0, window=window)
    further = file.with_name("further-" + file.name)
    mixed = StreamedRows.from_files([further], 0, mixed=True, first_number=real.count(0), window=window)
    sources = (real, mixed)
    return next(fit_rows("two_tower", sources, entities, settings, 0))

one_pass(Path(sys.argv[1]).with_name("small.parquet"))  # code and buffers
before = peak()
model = one_pass(Path(sys.argv[1]))
assert np.isfinite(model.rank_scores(np.arange(3, dtype=np.int32))).all()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "n_rows", "batch"), [("binary", 10_000_000, 1 << 14), ("in_batch", 2_000_000, 512)])
def test_rows_beyond_memory_are_learnt_from(tmp_path, loss, n_rows, batch):
    pytest.importorskip("torch_rechub", reason="needs the extra 'torch'")
    random = np.random.default_rng(0)
    schema = pa.schema({"user": pa.int32(), "item": pa.int32(), "weight": pa.float32(), "is_synthetic": pa.bool_()})
    further = n_rows // 4
    files = {"small": 2 * GROUP, "further-small": 2 * GROUP, "large": n_rows - further, "further-large": further}
    for name, rows in files.items():
        is_further = name.startswith("further")
        with pq.ParquetWriter(tmp_path / f"{name}.parquet", schema) as writer:
            for start in range(0, rows, GROUP):
                n = min(GROUP, rows - start)
                user, item = random.integers(0, USERS, n), random.integers(0, ITEMS, n)
                weight = np.full(n, 0.2 if is_further else 1.0, np.float32)
                columns = [user.astype(np.int32), item.astype(np.int32), weight, np.full(n, is_further)]
                writer.write_table(pa.table(columns, schema=schema))
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "large.parquet")]
    command += [*map(str, (USERS, ITEMS, GROUP, batch)), loss]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < n_rows * WIDTH / 4
