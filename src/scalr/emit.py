"""Write synthetic events as Parquet: in the target log's own columns (`target`), or as codes (`compact`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from scalr.align import item_values
from scalr.domain import Pair, Vocabulary
from scalr.errors import ConfigError, SchemaError
from scalr.receipt import Receipt, Stopwatch
from scalr.schema import SYNTHETIC_COLUMNS
from scalr.synthetic import SyntheticEvents
from scalr.times import from_microseconds

CHUNK_ROWS = 1 << 19  # rows built at a time, and per row group
PART_ROWS = 1 << 24  # rows per part file

TableBuilder = Callable[[SyntheticEvents], pa.Table]


def check_columns(pair: Pair) -> None:
    """Refuse a target log whose columns synthetic events could not have.

    Raises:
        SchemaError: If a column that plays no role is called like one of `SYNTHETIC_COLUMNS`, or the item table has
            a column of the same name that does not fit its type.
    """
    roles = {name for _, name in pair.target.columns.roles() if name}
    for field in pair.target.schema or ():
        if field.name in roles:
            continue
        if field.name in SYNTHETIC_COLUMNS and field.name not in ("is_synthetic", "weight"):
            raise SchemaError(
                f"the target log has a column '{field.name}', which synthetic events need for themselves",
                expected=f"no column called {', '.join(SYNTHETIC_COLUMNS)}",
                fix=f"rename '{field.name}' in the target log, or write with --layout compact",
            )
        if pair.items is None or field.name not in pair.items.target.column_names:
            continue
        column = pair.items.target.column(field.name)
        try:
            to_type(_chunkless(column), field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(
                f"column '{field.name}' is {field.type} in the target log, but {column.type} in the item table",
                expected="one type for both",
                fix=f"cast or rename '{field.name}' in the item table",
            ) from error


def to_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column in the user's type; dictionaries and decimals need a step between.

    Raises:
        pyarrow.ArrowInvalid: If a value does not fit.
    """
    if values.type == kind:
        return values
    if pa.types.is_dictionary(kind):
        return to_type(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_decimal(kind):
        return values.cast(pa.string()).cast(kind)
    return values.cast(kind)


def generation_id(pair: Pair, settings_digest: str, seed: int) -> str:
    """Return 16 hexadecimal digits that name one generation: the same for the same events, settings and seed.

    The events enter as sums of hashes, so neither row order nor file format matters.
    """
    text = f"{settings_digest}/{seed}/{pair.source.digest()}/{pair.target.digest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_table(events: SyntheticEvents, generation: str, layout: str = "target") -> pa.Table:
    """Return all events as one Arrow table; see `write_events` for the layouts."""
    return _builder(events.pair, generation, layout)(events)


def write_events(
    events: SyntheticEvents,
    folder: Path,
    generation: str,
    layout: str = "target",
    progress: Callable[[int], None] | None = None,
) -> Receipt:
    """Write `synthetic/part-*.parquet` (and for `compact` the dictionaries) into `folder`.

    Layout `target` has every column of the target log, in its names and types: user, item and time filled, the label
    1, the value that of the item, columns of the item table joined, all others null; then `SYNTHETIC_COLUMNS`. Only a
    weight column of integers becomes one of floats where the source's weights are fractions.
    Layout `compact` has integer codes, with `dictionaries/*.parquet` to look them up.

    Args:
        events: What to write.
        folder: An existing folder.
        generation: The id in column `generation_id`.
        layout: "target" or "compact".
        progress: Called with the number of rows written since the last call.
    """
    with Stopwatch() as watch:
        (folder / "synthetic").mkdir()
        build = _builder(events.pair, generation, layout)
        writer: pq.ParquetWriter | None = None
        n_parts = 0
        for first in range(0, max(len(events), 1), CHUNK_ROWS):
            table = build(events.take(np.arange(first, min(first + CHUNK_ROWS, len(events)))))
            if first % PART_ROWS == 0:
                if writer is not None:
                    writer.close()
                file = folder / "synthetic" / f"part-{n_parts:05d}.parquet"
                writer = pq.ParquetWriter(file, table.schema, compression="zstd", compression_level=1)
                n_parts += 1
            assert writer is not None
            writer.write_table(table)
            if progress:
                progress(len(table))
        if writer is not None:
            writer.close()
        if layout == "compact":
            _write_dictionaries(events.pair, folder / "dictionaries")
    return watch.receipt("emit", len(events), len(events), layout=layout, parts=n_parts)


def _builder(pair: Pair, generation: str, layout: str) -> TableBuilder:
    if layout not in ("target", "compact"):
        raise ConfigError(f"layout is '{layout}'", expected="'target' or 'compact'", fix="choose one of these")
    return _target_table(pair, generation) if layout == "target" else _compact_table(pair)


def _target_table(pair: Pair, generation: str) -> TableBuilder:
    """Return a function from events to a table in the target's columns."""
    check_columns(pair)
    target = pair.target
    roles = {name: role for role, name in target.columns.roles() if name}
    schema = target.schema if target.schema is not None else pa.schema([])
    values = item_values(target.positives(), pair.items)
    source_domains = pa.array(pair.source.items.domains)
    source_keys = _source_events(pair)
    weight = pair.source.weight
    whole_weights = weight is None or not pa.types.is_integer(_weight_type(pair)) or not np.any(weight % 1)

    def column(events: SyntheticEvents, field: pa.Field) -> pa.Array:
        role, n = roles.get(field.name), len(events)
        if role == "user":
            return _ids(target.users, events.user, field.type)
        if role == "item":
            return _ids(target.items, events.item, field.type)
        if role == "time" and target.time_unit is not None and pair.source.time is not None:
            return to_type(from_microseconds(pair.source.time[events.source_row], target.time_unit), field.type)
        if role == "label":
            return to_type(pa.array(np.ones(n, np.int8)), field.type)
        if role == "weight":
            return to_type(pa.array(events.weight), field.type if whole_weights else pa.float64())
        if role == "value" and values is not None:
            value = np.round(values[events.item], 6)
            whole = pa.types.is_integer(field.type)
            return pa.array(np.round(value) if whole else value, mask=~np.isfinite(value)).cast(field.type, safe=False)
        if role is None and pair.items is not None and field.name in pair.items.target.column_names:
            return to_type(_chunkless(pair.items.target.column(field.name).take(pa.array(events.item))), field.type)
        return pa.nulls(n, field.type)

    def table(events: SyntheticEvents) -> pa.Table:
        n, source_item = len(events), pair.source.item[events.source_row]
        own = {
            "is_synthetic": pa.array(np.ones(n, np.bool_)),
            "weight": pa.array(events.weight),
            "confidence": pa.array(events.confidence),
            "support": pa.array(events.support),
            "source_domain": source_domains.take(pa.array(pair.source.items.domain[source_item])),
            "source_item": pair.source.items.ids.take(pa.array(source_item)),
            "source_event": pa.array(source_keys[events.source_row]),
            "draw": pa.array(events.draw),
            "generation_id": pa.repeat(pa.scalar(generation), n),
        }
        columns: dict[str, Any] = {
            field.name: column(events, field) for field in schema if field.name not in own or field.name in roles
        }
        columns.update({name: values for name, values in own.items() if name not in columns})
        return pa.table(columns)

    return table


def _weight_type(pair: Pair) -> pa.DataType:
    """Return the type of the target's weight column; that of synthetic weights where it has none."""
    name, schema = pair.target.columns.weight, pair.target.schema
    return schema.field(name).type if name and schema is not None and name in schema.names else pa.float32()


def _compact_table(pair: Pair) -> TableBuilder:
    """Return a function from events to a table of codes."""
    source_keys = _source_events(pair)

    def table(events: SyntheticEvents) -> pa.Table:
        row = events.source_row
        columns: dict[str, Any] = {"user": events.user, "item": events.item, "source_item": pair.source.item[row]}
        if pair.source.time is not None and pair.target.time_unit is not None:
            columns["time"] = from_microseconds(pair.source.time[row], pair.target.time_unit)
        columns |= {"weight": events.weight, "confidence": events.confidence, "support": events.support}
        return pa.table({**columns, "source_event": source_keys[row], "draw": events.draw})

    return table


def _source_events(pair: Pair) -> npt.NDArray[np.int64]:
    """Return the id of every source event: its key without the lowest bit, so that it is not negative anywhere."""
    return (pair.source.keys() >> np.uint64(1)).astype(np.int64)


def _write_dictionaries(pair: Pair, folder: Path) -> None:
    """Write one file per vocabulary: the code is the row's place, and stands beside the id."""
    folder.mkdir()
    for name, words in (
        ("users", pair.target.users),
        ("items", pair.target.items),
        ("source_items", pair.source.items),
    ):
        columns = {"code": pa.array(np.arange(len(words), dtype=np.int32)), "id": words.ids}
        if name == "source_items":
            columns["domain"] = pa.array(words.domains).take(pa.array(words.domain))
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")


def _ids(words: Vocabulary, codes: Any, kind: pa.DataType) -> pa.Array:
    return to_type(words.ids.take(pa.array(codes)), kind)


def _chunkless(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
