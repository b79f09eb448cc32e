"""The libraries for export: files, how λ is applied, packages to install."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from scalr.adapters.atomic import formula_notes, write_recbole
from scalr.adapters.frames import write_parquet
from scalr.adapters.labelled import write_libsvm, write_lightgbm
from scalr.adapters.pairs import write_implicit, write_lightfm
from scalr.adapters.toolkits import write_interactions
from scalr.adapters.training_events import TrainingEvents
from scalr.foundation import unknown_name


@dataclass(frozen=True, slots=True)
class Adapter:
    """A library for which events can be exported.

    Attributes:
        name: Name for `scalr export --to`.
        title: Name for people.
        how: How λ is applied: "weights" or "thinning".
        where: Where the library takes weights; for a library without weights, what is thinned.
        files: Files of the folder.
        needs: Extra that writing needs; "" for none.
        row: What a row is.
        load: Python code that loads the files; {out} is the folder, {name} its name, {parent} its parent.
        write: Writes into an existing folder; takes the events, the folder and the name of the final folder.
        warn: Returns notes on these events in this form.
    """

    name: str
    title: str
    how: Literal["weights", "thinning"]
    where: str
    files: str
    needs: str
    row: str
    load: str
    write: Callable[[TrainingEvents, Path, str], int]
    warn: Callable[[TrainingEvents], tuple[str, ...]] = lambda _: ()

    def described(self) -> dict[str, str]:
        """Return all but the writer, for JSON."""
        names = ("title", "how", "where", "files", "needs", "row", "load")
        return {name: getattr(self, name) for name in names}


def _plainly(write: Callable[[TrainingEvents, Path], int], events: TrainingEvents, folder: Path, name: str) -> int:
    return write(events, folder)


def _below(events: TrainingEvents, folder: Path, name: str) -> int:
    (folder / "events").mkdir()
    return write_parquet(events, folder / "events")


def _table_for(library: str, events: TrainingEvents, folder: Path, name: str) -> int:
    return write_interactions(events, folder, library)


_PARQUET = "events/part-*.parquet"
_PAIRS = "user_items.npz, users.parquet, items.parquet"

_ALL = (
    Adapter("pandas", "pandas", "weights", "column weight", _PARQUET, "", "events",
            'pandas.read_parquet("{out}/events")', _below),
    Adapter("polars", "Polars", "weights", "column weight", _PARQUET, "", "events",
            'polars.scan_parquet("{out}/events/*.parquet")', _below),
    Adapter("arrow", "PyArrow", "weights", "column weight", _PARQUET, "", "events",
            'pyarrow.dataset.dataset("{out}/events")', _below),
    Adapter("duckdb", "DuckDB", "weights", "column weight", _PARQUET, "", "events",
            'duckdb.read_parquet("{out}/events/*.parquet")', _below),
    Adapter("huggingface", "Hugging Face Datasets", "weights", "column weight", _PARQUET, "", "events",
            'datasets.load_dataset("parquet", data_files="{out}/events/*.parquet", split="train")', _below),
    Adapter("torch", "PyTorch", "weights", "tensor weight of each batch", _PARQUET, "", "events",
            "scalr.adapters.to_torch(RUN)  # streams the run itself", _below),
    Adapter("implicit", "implicit", "weights", "values of the matrix (confidence)", _PAIRS, "adapters", "pairs",
            'model.fit(scipy.sparse.load_npz("{out}/user_items.npz"))', partial(_plainly, write_implicit)),
    Adapter("lightfm", "LightFM", "weights", "sample_weight of fit",
            "interactions.npz, weights.npz, users.parquet, items.parquet", "adapters", "pairs",
            'model.fit(load_npz("{out}/interactions.npz"), sample_weight=load_npz("{out}/weights.npz"))',
            partial(_plainly, write_lightfm)),
    Adapter("rectools", "RecTools", "weights", "column weight", "interactions.parquet", "", "pairs",
            'rectools.dataset.Dataset.construct(pandas.read_parquet("{out}/interactions.parquet"))',
            partial(_table_for, "rectools")),
    Adapter("lenskit", "LensKit", "weights", "rating, with use_ratings=True", "interactions.parquet", "", "pairs",
            'lenskit.data.from_interactions_df(pandas.read_parquet("{out}/interactions.parquet"), rating_col="rating")',
            partial(_table_for, "lenskit")),
    Adapter("replay", "RePlay", "weights", "feature of the role rating", "interactions.parquet", "", "pairs",
            'pandas.read_parquet("{out}/interactions.parquet")', partial(_table_for, "replay")),
    Adapter("recbole", "RecBole", "thinning", "interactions", "NAME.inter, NAME.item", "", "events",
            'recbole.config.Config("BPR", "{name}", config_dict={{"data_path": "{parent}"}})', write_recbole,
            formula_notes),
    Adapter("libsvm", "LIBSVM text", "weights", "file train.libsvm.weight, one number a line",
            "train.libsvm, train.libsvm.weight, users.parquet, items.parquet", "", "rows",
            'sklearn.datasets.load_svmlight_file("{out}/train.libsvm")', partial(_plainly, write_libsvm)),
    Adapter("lightgbm", "LightGBM", "weights", "field weight of the data set",
            "train.bin, users.parquet, items.parquet", "models", "rows",
            'lightgbm.Dataset("{out}/train.bin")', partial(_plainly, write_lightgbm)),
)  # fmt: skip

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in _ALL}
"""All adapters by name."""


def get_adapter(name: str) -> Adapter:
    """Return an adapter by its name.

    Raises:
        ConfigError: If no adapter has that name.
    """
    if name not in ADAPTERS:
        raise unknown_name("library", name, ADAPTERS)
    return ADAPTERS[name]
