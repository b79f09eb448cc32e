"""Rows with labels, for classifiers: LIBSVM text and LightGBM data sets.

If the log has labels, its rows with label 0 are the negatives of real events, and every synthetic event gets uniform
negatives at the rate of the log. Otherwise every positive, real or synthetic, gets `negatives` uniform negatives. A
negative has the weight of its positive and an item of the catalogue. So synthetic and real rows have the same base
rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from scalr.adapters.pairs import write_ids
from scalr.adapters.training_events import Batch, TrainingEvents
from scalr.foundation import Codes, Singles, require_extra, rng
from scalr.logs import catalogue_of, is_text

if TYPE_CHECKING:
    import lightgbm

_LINES = pa_csv.WriteOptions(include_header=False, quoting_style="none")
_ROWS = 1 << 19  # rows per batch, negatives included


@dataclass(frozen=True, slots=True, eq=False)
class ExportRows:
    """Labelled rows, with users and items as codes.

    Attributes:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        is_synthetic: Whether the rows are synthetic.
    """

    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]
    weight: Singles
    is_synthetic: bool


def export_rows(events: TrainingEvents) -> Iterator[ExportRows]:
    """Yield positives and their negatives in batches; the same seed draws the same negatives."""
    log, catalogue = events.target, catalogue_of(events.target)
    share = float(events.settings.negatives)
    if log.label is not None:
        negative = log.take(log.label == 0)
        share = len(negative) / max(len(log) - len(negative), 1)
        weight = np.ones(len(negative), np.float32) if negative.weight is None else negative.weight
        keep = weight > 0
        yield _rows(negative.user[keep], negative.item[keep], 0, weight[keep], is_synthetic=False)
    for batch in events.batches():
        yield _rows(batch.user, batch.item, 1, batch.weight, is_synthetic=batch.is_synthetic)
        if log.label is None or batch.is_synthetic:
            step = max(1, int(_ROWS / (share + 1)))
            for first in range(0, len(batch), step):
                few = batch.take(np.arange(first, min(first + step, len(batch))))
                yield _negatives(few, share, catalogue, events.seed)


def write_libsvm(events: TrainingEvents, folder: Path) -> int:
    """Write `train.libsvm`, `train.libsvm.weight`, `users.parquet` and `items.parquet`; return the rows.

    A row has the label and two features of value 1: 1 + user code, and 1 + number of users + item code.
    """
    rows, n_users = 0, len(events.users)
    with (folder / "train.libsvm").open("wb") as file, (folder / "train.libsvm.weight").open("wb") as weights:
        for part in export_rows(events):
            if not len(part.user):
                continue
            numbers = (part.label, part.user + 1, part.item.astype(np.int64) + 1 + n_users)
            label, user, item = (pa.array(one).cast(pa.string()) for one in numbers)
            lines = pc.binary_join_element_wise(label, " ", user, ":1 ", item, ":1", "")
            pa_csv.write_csv(pa.table({"line": lines}), file, _LINES)
            pa_csv.write_csv(pa.table({"weight": part.weight}), weights, _LINES)
            rows += len(part.user)
    write_ids(events, folder)
    return rows


def lightgbm_dataset(events: TrainingEvents, **options: Any) -> lightgbm.Dataset:
    """Return a LightGBM data set in memory, with weights; `options` go to `lightgbm.Dataset`.

    Features are the codes of user and item, as categories, and the columns of the item table: numbers unchanged, text
    as categories. Text columns with more than half of their values distinct, such as titles, are omitted.

    Raises:
        MissingExtraError: If LightGBM is not installed.
    """
    library = require_extra("lightgbm", "models")
    parts = [part for part in export_rows(events) if len(part.user)]
    user, item, label, weight = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "item", "label", "weight")
    )
    features, categories = item_columns_as_features(events)
    data = np.column_stack([user, item, *(column[item] for column in features.values())]).astype(np.float32)
    data_set: lightgbm.Dataset = library.Dataset(
        data,
        label=label.astype(np.float32),
        weight=weight,
        feature_name=["user", "item", *features],
        categorical_feature=["user", "item", *categories],
        **options,
    )
    return data_set


def write_lightgbm(events: TrainingEvents, folder: Path) -> int:
    """Write `train.bin`, LightGBM's binary file, and the ids of the codes; return the rows."""
    data = lightgbm_dataset(events, params={"verbose": -1})
    data.save_binary(str(folder / "train.bin"))
    write_ids(events, folder)
    return int(data.num_data())


def item_columns_as_features(events: TrainingEvents) -> tuple[dict[str, Singles], list[str]]:
    """Return features by item code, shape (n_items,) each, NaN where unknown; and the names of categorical features."""
    known = events.item_table()
    found: dict[str, Singles] = {}
    categories: list[str] = []
    if known is None:
        return found, categories
    for field in known.target.schema:
        values = known.target[field.name].combine_chunks()
        name = "item_" + "".join(letter if letter.isalnum() else "_" for letter in field.name)
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if is_text(kind):
            coded = values.cast(pa.large_string()).dictionary_encode()
            if len(coded.dictionary) <= len(values) / 2:
                found[name] = coded.indices.cast(pa.float32()).to_numpy(zero_copy_only=False)
                categories.append(name)
        elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found[name] = values.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return found, categories


def _rows(user: Codes, item: Codes, label: int, weight: Singles, *, is_synthetic: bool) -> ExportRows:
    return ExportRows(user, item, np.full(len(user), label, np.int8), weight, is_synthetic)


def _negatives(batch: Batch, share: float, catalogue: Codes, seed: int) -> ExportRows:
    """Return `share` uniform negatives per event on average: its integer part, and by chance one more."""
    whole, rest = divmod(share, 1.0)
    more = rng.keyed_units(seed, rng.Purpose.TRAIN_NEGATIVES, batch.key, _number(batch, 0)) < rest
    event = np.repeat(np.arange(len(batch)), int(whole) + more)
    first = np.cumsum(int(whole) + more) - (int(whole) + more)
    number = (np.arange(len(event)) - first[event] + 1).astype(np.uint64)
    chance = rng.keyed_units(seed, rng.Purpose.TRAIN_NEGATIVES, batch.key[event], number)
    item = catalogue[(chance * len(catalogue)).astype(np.int64)]
    return _rows(batch.user[event], item, 0, batch.weight[event], is_synthetic=batch.is_synthetic)


def _number(batch: Batch, number: int) -> npt.NDArray[np.uint64]:
    return np.full(len(batch), number, np.uint64)
