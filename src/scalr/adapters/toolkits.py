"""Data sets of recommender libraries with their own tables: RecTools, LensKit, RePlay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scalr.adapters.pairs import instants, pairs_of
from scalr.adapters.training_events import TrainingEvents
from scalr.foundation import MissingExtraError, require_extra

if TYPE_CHECKING:
    import pandas

_WEIGHT_NAMES = {"rectools": "weight", "lenskit": "rating", "replay": "weight"}
_TIME_NAMES = {"rectools": "datetime", "lenskit": "timestamp", "replay": "timestamp"}


def rectools_dataset(events: TrainingEvents) -> Any:
    """Return a `rectools.dataset.Dataset`: one interaction per pair, with its weight and latest time.

    Raises:
        MissingExtraError: If RecTools is not installed.
    """
    library = _library("rectools.dataset", "rectools")
    return library.Dataset.construct(_frame(events, "rectools"))


def lenskit_dataset(events: TrainingEvents) -> Any:
    """Return a `lenskit.data.Dataset`: one interaction per pair, its weight as the rating.

    Models with `use_ratings=True` take it as a confidence.

    Raises:
        MissingExtraError: If LensKit is not installed.
    """
    return _library("lenskit.data", "lenskit").from_interactions_df(_frame(events, "lenskit"), rating_col="rating")


def replay_dataset(events: TrainingEvents) -> Any:
    """Return a `replay.data.Dataset` of a pandas frame: one interaction per pair, its weight in the role of the rating.

    Raises:
        MissingExtraError: If RePlay is not installed.
    """
    library = _library("replay.data", "replay-rec")
    hint, kind = library.FeatureHint, library.FeatureType
    frame = _frame(events, "replay")
    features = [
        library.FeatureInfo("user_id", kind.CATEGORICAL, hint.QUERY_ID),
        library.FeatureInfo("item_id", kind.CATEGORICAL, hint.ITEM_ID),
        library.FeatureInfo("weight", kind.NUMERICAL, hint.RATING),
    ]
    if "timestamp" in frame:
        features.append(library.FeatureInfo("timestamp", kind.NUMERICAL, hint.TIMESTAMP))
    return library.Dataset(library.FeatureSchema(features), frame)


def interactions_table(events: TrainingEvents, library: str) -> pa.Table:
    """Return one row per pair, with the column names of a library.

    RecTools requires times: if the log has none, all times are the start of 1970.

    Args:
        events: What to train on.
        library: "rectools", "lenskit" or "replay".
    """
    pairs = pairs_of(events)
    columns = {
        "user_id": events.users.ids.take(pa.array(pairs.user)),
        "item_id": events.items.ids.take(pa.array(pairs.item)),
        _WEIGHT_NAMES[library]: pa.array(pairs.weight),
    }
    time = pairs.time
    if time is None and library == "rectools":
        time = np.zeros(len(pairs.user), np.int64)
    if time is not None:
        columns[_TIME_NAMES[library]] = instants(time, events.target.time_unit)
    return pa.table(columns)


def write_interactions(events: TrainingEvents, folder: Path, library: str) -> int:
    """Write `interactions.parquet` for a library; return the pairs."""
    table = interactions_table(events, library)
    pq.write_table(table, folder / "interactions.parquet", compression="zstd")
    return len(table)


def _frame(events: TrainingEvents, library: str) -> pandas.DataFrame:
    require_extra("pandas", "adapters")
    return interactions_table(events, library).to_pandas()


def _library(module: str, package: str) -> Any:
    """Import a library that is in no extra, since it needs an older NumPy or pandas than the others."""
    try:
        return require_extra(module, package)
    except MissingExtraError as error:
        raise MissingExtraError(
            f"module '{module}' is not installed",
            expected=f"the package '{package}' in the same environment",
            fix=f"pip install '{package}' in a separate environment, or write files: scalr export RUN --to ...",
        ) from error
