"""Runs to export: a plain one in both layouts, and one whose log has all that is awkward."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from scalr.cli import main
from scalr.logs.simulation import simulate


@dataclass(frozen=True)
class Made:
    folder: Path
    target: pa.Table

    def events(self) -> list[dict]:
        """Return the synthetic events as they were written."""
        parts = sorted((self.folder / "synthetic").glob("*.parquet"))
        return pa.concat_tables([pq.read_table(part) for part in parts]).to_pylist()


def generate(folder: Path, *options: str) -> None:
    assert main(["generate", *map(str, options), "--out", str(folder), "--quiet"]) == 0


@pytest.fixture(scope="session")
def world():
    return simulate(n_users=80, n_source_items=40, n_target_items=24, events_per_user=(12.0, 5.0), seed=1)


@pytest.fixture(scope="session")
def item_table(world) -> pa.Table:
    ids = np.unique(world.target["item"].to_numpy())[1:]  # one item is not in the table
    return pa.table(
        {
            "item": ids,
            "title": [f'no. "{one}"\tof all' for one in ids],
            "category": [f"kind {one % 3}" for one in ids],
            "price": [None if one % 5 == 0 else one % 7 + 0.5 for one in ids.tolist()],
            "tags": [["a b", "c"][: one % 3] for one in ids],
        }
    )


@pytest.fixture(scope="session")
def logs(world, item_table, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("logs")
    pq.write_table(world.source, folder / "source.parquet")
    pq.write_table(world.target, folder / "target.parquet")
    pq.write_table(item_table, folder / "items.parquet")
    files = {name: str(folder / f"{name}.parquet") for name in ("source", "target", "items")}
    return [word for name, file in files.items() for word in (f"--{name}", file)]


@pytest.fixture(scope="session")
def run(logs, world, tmp_path_factory) -> Made:
    """A run in layout `target`."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    generate(folder, *logs, "--draws", "2")
    return Made(folder, world.target)


@pytest.fixture(scope="session")
def compact(logs, world, tmp_path_factory) -> Made:
    """The same in layout `compact`."""
    folder = tmp_path_factory.mktemp("runs") / "compact"
    generate(folder, *logs, "--draws", "2", "--layout", "compact")
    return Made(folder, world.target)


@pytest.fixture(scope="session")
def awkward(world, tmp_path_factory) -> Made:
    """Text ids with leading zeros, ISO times, labels, weights of integers (fractions in the source), nulls, CSV."""
    folder = tmp_path_factory.mktemp("awkward")
    for name, table in (("source", world.source), ("target", world.target)):
        n = len(table)
        times = pa.array(table["time"].to_numpy(), pa.timestamp("s"))
        member = [f"{user:04d}" for user in table["user"].to_pylist()]
        if name == "target":
            member[3] = None
        columns = {
            "member": pa.array(member),
            "sku": pa.array([f"i{item}" for item in table["item"].to_pylist()]),
            "when": pa.compute.strftime(times, format="%Y-%m-%dT%H:%M:%SZ"),
            "clicked": np.arange(n) % 4 > 0,
            "w": np.arange(n) % 3 if name == "target" else np.arange(n) % 5 / 4,
            "weight": np.full(n, 7),  # a column of the user's that plays no role
            "shop": pa.array([None if row % 7 == 0 else f"0{row % 5}" for row in range(n)]),
        }
        pa.csv.write_csv(pa.table(columns), folder / f"{name}.csv")
    generate(
        folder / "run", "--source", folder / "source.csv", "--target", folder / "target.csv", "--user", "member",
        "--weight", "w", "--time", "when", "--label", "clicked", "--item", "sku", "--drop-nulls",
    )  # fmt: skip
    return Made(folder / "run", pa.csv.read_csv(folder / "target.csv", convert_options=_AS_TEXT))


_AS_TEXT = pa.csv.ConvertOptions(
    column_types={"member": pa.string(), "shop": pa.string()}, strings_can_be_null=True, quoted_strings_can_be_null=True
)
