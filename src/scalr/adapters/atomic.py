"""Atomic files of RecBole: tab-separated text with typed column names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from scalr.adapters.training_events import Batch, TrainingEvents
from scalr.foundation import SchemaError
from scalr.logs import is_text

_OPTIONS = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
_FORMULA = r"^(=|[+@-][^0-9.])"  # a sign before a number is not a formula
_SPACES = r"[\t\r\n]+"


def write_recbole(events: TrainingEvents, folder: Path, name: str) -> int:
    """Write `NAME.inter`, and `NAME.item` if the run had an item table; return the interactions.

    RecBole has no weights, so the events are thinned. Rows are events: real ones by user and item, then synthetic
    ones. The column `is_synthetic` lets a split keep synthetic rows out of the evaluation.

    Raises:
        SchemaError: If an id has a tab, a line break or a quotation mark in it, which the format cannot hold.
    """
    events = events.as_thinned()
    rows = 0
    with (folder / f"{name}.inter").open("wb") as file:
        for number, batch in enumerate(events.batches()):
            columns = _interactions(events, batch)
            if not number:
                file.write(("\t".join(columns) + "\n").encode())
            _write(columns, file, f"{name}.inter")
            rows += len(batch)
    table = events.item_table()
    if table is not None:
        columns = {"item_id:token": events.items.ids}
        for field in table.target.schema:
            columns |= _feature(field.name, table.target[field.name].combine_chunks())
        with (folder / f"{name}.item").open("wb") as file:
            file.write(("\t".join(columns) + "\n").encode())
            _write(columns, file, f"{name}.item")
    return rows


def formula_notes(events: TrainingEvents) -> tuple[str, ...]:
    """Return a note if a spreadsheet would read ids as formulas. The ids are not changed, since they must match."""
    ids = [words.ids for words in (events.users, events.items) if is_text(words.ids.type)]
    n = sum(pc.sum(pc.match_substring_regex(one, _FORMULA)).as_py() or 0 for one in ids)
    if not n:
        return ()
    return (f"{n:,} ids begin like a formula (=, +, - or @): in a spreadsheet import these files as text.",)


def _interactions(events: TrainingEvents, batch: Batch) -> dict[str, pa.Array]:
    columns = {
        "user_id:token": events.users.ids.take(pa.array(batch.user)),
        "item_id:token": events.items.ids.take(pa.array(batch.item)),
    }
    if batch.time is not None:
        unit = events.target.time_unit
        is_order = unit is not None and unit.kind == "order"
        columns["timestamp:float"] = pa.array(batch.time if is_order else batch.time / 1e6)
    return columns | {"is_synthetic:float": pa.array(np.full(len(batch), float(batch.is_synthetic)))}


def _feature(name: str, values: Any) -> dict[str, pa.Array]:
    """Return a column of the item table under its name for RecBole; nested columns other than lists are omitted."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    name = name.replace(":", "_")
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    ):
        return {f"{name}:float": values.cast(pa.float64())}
    if pa.types.is_list(kind) and is_text(kind.value_type):
        words = pc.replace_substring_regex(pc.list_flatten(values), r"\s+", "_")
        lists = pa.ListArray.from_arrays(_offsets(values), words)
        return {f"{name}:token_seq": _cleaned(pc.binary_join(lists, " "))}
    if pa.types.is_nested(kind):
        return {}
    return {f"{name}:token": _cleaned(values.cast(pa.string()))}


def _offsets(lists: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _cleaned(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(pc.replace_substring_regex(texts, _SPACES, " "), '"', "'")


def _write(columns: dict[str, pa.Array], file: BinaryIO, name: str) -> None:
    table = pa.table(columns)
    try:
        pa_csv.write_csv(table, file, _OPTIONS)
    except pa.ArrowInvalid as error:
        raise SchemaError(
            f"an id cannot be written to {name}: {error}",
            expected="ids without tabs, line breaks and quotation marks, which RecBole's format cannot hold",
            fix="replace such ids in the logs",
        ) from error
