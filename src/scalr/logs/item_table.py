"""The item table: what is known about items, one row per item code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import SchemaError, nearest_name
from scalr.logs.event_log import ItemTable, Vocabulary
from scalr.logs.readers.column import Column, Misfits, nulls_in, plain_column
from scalr.logs.readers.ids import check_id_type, read_ids
from scalr.logs.schema import COMMON_NAMES
from scalr.logs.tables.digests import files_digest, table_digest
from scalr.logs.tables.files import is_text
from scalr.logs.tables.open_table import Tabular, distinct_rows, open_table, read_columns

_DOMAIN = "domain"


def read_items(
    given: Any, target: Vocabulary, source: Vocabulary, item_columns: Sequence[str], *, as_text: bool, drop_nulls: bool
) -> tuple[ItemTable, dict[str, Any], list[str]]:
    """Join an item table to the items of a pair.

    Where the table has a column `domain` with only "source", "target" and names of the source domains in it, a row
    belongs to that domain; otherwise to every domain that has its id.

    Args:
        given: A path or a frame with a column of item ids, each id once per domain.
        target: Items of the target domain.
        source: Items of the source domains.
        item_columns: Names the id column may have, best first.
        as_text: Ids were read as text.
        drop_nulls: Drop rows without an id instead of refusing them.

    Returns:
        The table, what the manifest says of it, and warnings.

    Raises:
        SchemaError: If the table has no id column, ids of another type, or several different rows for one item.
    """
    opened = open_table(given, "items")
    id_name = _id_column(opened.schema.names, item_columns, opened.name)
    rows = read_columns(opened, opened.schema.names, as_text=[id_name])
    entry = {
        "role": "items",
        "name": "items",
        "files": [str(file) for file in opened.files],
        "rows": len(rows),
        "bytes": sum(file.stat().st_size for file in opened.files) if opened.files else rows.nbytes,
        "digest": files_digest(opened.files) if opened.files else table_digest(rows),
    }
    warnings = []
    column = plain_column(id_name, opened.name, rows[id_name], is_untyped=opened.format == "CSV")
    check_id_type(column)
    if (missing := column.missing()).any():
        if not drop_nulls:
            misfits = Misfits()
            misfits.add(column, missing)
            raise nulls_in(column.title, misfits, "an id in every row")
        warnings.append(f"{missing.sum():,} rows of {opened.name} had no item id and were dropped.")
        rows = rows.filter(pa.array(~missing))
        column = replace(column, values=column.values.filter(pa.array(~missing)))
    if not len(rows):
        raise SchemaError(f"{opened.name} has no rows", expected="one row per item", fix="leave the item table out")

    parts, known = [], []
    for vocabulary, is_target in ((target, True), (source, False)):
        places = np.full(len(vocabulary), -1, np.int64)
        for number, domain in enumerate(vocabulary.domains):
            codes = np.flatnonzero(vocabulary.domain == number)
            names = ("target",) if is_target else ("source", domain)
            chosen = _rows_of_domain(rows, names, source.domains)
            ids = _ids_like(vocabulary.ids, column, as_text or len(vocabulary.domains) > 1)
            if ids is not None:
                rows_chosen, ids_chosen = _once(rows, ids, chosen, id_name, opened.name)
                found = pc.index_in(vocabulary.ids.take(pa.array(codes)), value_set=ids_chosen)
                is_found = found.is_valid().to_numpy(zero_copy_only=False)
                places[codes[is_found]] = rows_chosen[found.drop_null().to_numpy()]
        known.append(int((places >= 0).sum()))
        parts.append(rows.drop_columns([id_name]).take(pa.array(places, mask=places < 0)).combine_chunks())
    if known[0] + known[1] == 0:
        raise SchemaError(
            f"{column.title} has ids such as {rows[id_name][0].as_py()!r}, none of which is in the logs",
            expected=f"ids such as {target.ids[0].as_py()!r}",
            fix="use the item ids of the logs, in their type; or leave the item table out",
        )
    if known[0] < len(target) / 2:
        warnings.append(f"The item table knows only {known[0]:,} of {len(target):,} target items.")
    return ItemTable(target=parts[0], source=parts[1], item_column=id_name), entry, warnings


def with_log_columns(
    items: ItemTable | None,
    log: Tabular,
    id_name: str,
    names: Sequence[str],
    target: Vocabulary,
    source: Vocabulary,
    *,
    as_text: bool,
) -> ItemTable | None:
    """Add columns of the target log that are functions of its items, such as a campaign's channel or an ad's format.

    A column is one if no item has two values in it, a null counting as a value, and some item has several rows.
    Columns that the table has already stay as they are; lists and other nested columns are passed over.

    Args:
        items: The table so far; None for none.
        log: The target log.
        id_name: Its column of item ids.
        names: Its columns that play no role.
        target: Items of the target domain.
        source: Items of the source domains, for which these columns are null.
        as_text: Ids were read as text.
    """
    known = {"value"} if items is None else {"value", *items.target.column_names}
    left = [name for name in names if name not in known and not pa.types.is_nested(log.schema.field(name).type)]
    code: pa.Array | None = None
    found: dict[str, pa.Array] = {}
    for name in left:
        rows = read_columns(log, [id_name, name], as_text=[id_name] if as_text else [])
        if code is None:
            column = plain_column(id_name, log.name, rows[id_name], is_untyped=log.format == "CSV")
            ids = _ids_like(target.ids, column, as_text)
            code = None if ids is None else pc.index_in(ids, value_set=target.ids)
            if code is None or len(code) - code.null_count <= len(target):
                break
        pairs = pa.table({"code": code, "value": rows[name]}).filter(code.is_valid())
        distinct = pairs.group_by(["code", "value"]).aggregate([])
        if len(distinct) == len(pc.unique(pairs["code"])):
            place = np.full(len(target), -1, np.int64)
            place[distinct["code"].to_numpy()] = np.arange(len(distinct))
            found[name] = distinct["value"].take(pa.array(place, mask=place < 0)).combine_chunks()
    if not found:
        return items
    nulls = {name: pa.nulls(len(source), values.type) for name, values in found.items()}
    if items is None:
        return ItemTable(pa.table(found), pa.table(nulls), id_name)
    parts = [items.target, items.source]
    for number, columns in enumerate((found, nulls)):
        for name, values in columns.items():
            parts[number] = parts[number].append_column(name, values)
    return ItemTable(parts[0], parts[1], items.item_column)


def _id_column(names: Sequence[str], wanted: Sequence[str], table: str) -> str:
    lower = {name.lower(): name for name in names}
    for name in (*wanted, *COMMON_NAMES["item"]):
        if name.lower() in lower:
            return lower[name.lower()]
    near = nearest_name(wanted[0], names) if wanted else None
    raise SchemaError(
        f"{table} has no column of item ids (it has {', '.join(names)})",
        expected=f"a column '{wanted[0] if wanted else 'item_id'}'",
        fix=f"rename the column{f' {near!r}' if near else ''} to that name",
    )


def _rows_of_domain(rows: pa.Table, names: Sequence[str], sources: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows that belong to a domain; all where the table does not say."""
    everything = np.arange(len(rows))
    column = next((name for name in rows.column_names if name.lower() == _DOMAIN), None)
    if column is None:
        return everything
    kind = rows[column].type
    if not is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        return everything
    texts = rows[column].cast(pa.large_string())
    known = pa.array(["source", "target", *sources], pa.large_string())
    if not pc.all(pc.is_in(texts, known)).as_py():
        return everything
    mask = pc.is_in(texts, pa.array(names, pa.large_string())).to_numpy()
    return everything[np.asarray(mask, np.bool_)]


def _ids_like(ids: pa.Array, column: Column, as_text: bool) -> pa.Array | None:
    """Return the table's ids in the type of a vocabulary's ids, or None where the two types cannot meet."""
    wants_text = not pa.types.is_integer(ids.type)
    found = read_ids(column, as_text=wants_text and (as_text or column.is_untyped))
    if pa.types.is_integer(found.distinct.type) == wants_text:
        return None
    return found.distinct.cast(ids.type).take(pa.array(found.place))


def _once(
    rows: pa.Table, ids: pa.Array, chosen: npt.NDArray[np.int64], id_name: str, table: str
) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Keep one of several identical rows of an item; refuse rows that differ."""
    mine = ids.take(pa.array(chosen))
    first = pc.index_in(mine, value_set=mine).to_numpy()
    is_first = first == np.arange(len(mine))
    if not is_first.all():
        again = np.isin(first, first[~is_first])
        repeated = rows.take(pa.array(chosen[again]))
        n_repeated = len(np.unique(first[again]))
        if len(distinct_rows(repeated)) > n_repeated:
            example = mine[int(first[~is_first][0])].as_py()
            raise SchemaError(
                f"{table} has {n_repeated} items with several rows that differ, such as {example!r}",
                expected=f"one row per '{id_name}'",
                fix="keep one row per item",
            )
    return chosen[is_first], mine.filter(pa.array(is_first))
