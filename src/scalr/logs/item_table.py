"""The item table: columns that describe items, joined to the item codes of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Int64, SchemaError, nearest_name
from scalr.logs.event_log import ItemTable, Vocabulary
from scalr.logs.log_request import ReadRules
from scalr.logs.readers.column import Column, Misfits, nulls_in, plain_column
from scalr.logs.readers.ids import check_id_type, read_ids
from scalr.logs.scanning import input_entry
from scalr.logs.schema import COMMON_NAMES, Columns
from scalr.logs.tables.files import is_text
from scalr.logs.tables.open_table import Tabular, distinct_rows, open_table, read_columns

_DOMAIN = "domain"


@dataclass(frozen=True, slots=True, eq=False)
class _ItemRows:
    """Rows of an item table as read.

    Attributes:
        rows: All columns of the rows that have an id.
        ids: The id column of these rows.
        domains: Names of the source domains of the pair.
        as_text: Whether ids of the logs were read as text.
    """

    rows: pa.Table
    ids: Column
    domains: tuple[str, ...]
    as_text: bool


def read_items(
    items: Any, target: Vocabulary, source: Vocabulary, id_names: Sequence[str], rules: ReadRules
) -> tuple[ItemTable, dict[str, Any], list[str]]:
    """Read an item table and join it to the items of a pair.

    If the table has a column `domain` with only "source", "target" and names of the source domains in it, a row
    belongs to that domain; otherwise a row belongs to every domain that has its id.

    Args:
        items: A path or a frame with a column of item ids, each id once per domain.
        target: Items of the target domain.
        source: Items of the source domains.
        id_names: Names that the id column may have, best first.
        rules: Whether ids are read as text, and rows without an id dropped.

    Returns:
        The table, its entry in the manifest, and warnings.

    Raises:
        SchemaError: If the table has no id column, ids of another type, or several different rows for one item.
    """
    table = open_table(items, "items")
    id_name = _id_column(table.schema.names, id_names, table.name)
    rows = read_columns(table, table.schema.names, as_text=[id_name])
    entry = input_entry("items", "items", replace(table, frame=rows), len(rows))
    ids = plain_column(id_name, table.name, rows[id_name], is_untyped=table.format == "CSV")
    kept, warnings = _without_null_ids(_ItemRows(rows, ids, source.domains, rules.as_text), rules.drop_nulls)
    target_rows, source_rows = _rows_by_code(kept, target, is_target=True), _rows_by_code(kept, source, is_target=False)
    n_target = int((target_rows >= 0).sum())
    if not n_target and not (source_rows >= 0).any():
        raise SchemaError(
            f"{ids.title} has ids such as {kept.rows[id_name][0].as_py()!r}, none of which is in the logs",
            expected=f"ids such as {target.ids[0].as_py()!r}",
            fix="use the item ids of the logs, in their type; or remove the item table",
        )
    if n_target < len(target) / 2:
        warnings.append(f"The item table has only {n_target:,} of {len(target):,} target items.")
    others = kept.rows.drop_columns([id_name])
    joined = [others.take(pa.array(at, mask=at < 0)).combine_chunks() for at in (target_rows, source_rows)]
    return ItemTable(target=joined[0], source=joined[1], item_column=id_name), entry, warnings


def _without_null_ids(items: _ItemRows, drop_nulls: bool) -> tuple[_ItemRows, list[str]]:
    """Drop or refuse rows without an id.

    Returns:
        The other rows, and a warning for those that were dropped.

    Raises:
        SchemaError: If there are such rows and `drop_nulls` is False, no row is left, or ids have an unusable type.
    """
    ids, warnings = items.ids, []
    check_id_type(ids)
    if (is_null := ids.missing()).any():
        if not drop_nulls:
            misfits = Misfits()
            misfits.add(ids, is_null)
            raise nulls_in(ids.title, misfits, "an id in every row")
        warnings.append(f"{is_null.sum():,} rows of {ids.table} had no item id and were dropped.")
        is_valid = pa.array(~is_null)
        ids = replace(ids, values=ids.values.filter(is_valid))
        items = replace(items, rows=items.rows.filter(is_valid), ids=ids)
    if not len(items.rows):
        raise SchemaError(f"{ids.table} has no rows", expected="one row per item", fix="remove the item table")
    return items, warnings


def _rows_by_code(items: _ItemRows, vocabulary: Vocabulary, *, is_target: bool) -> Int64:
    """Return the row of each item of the target or of the source domains, shape (n_items,); -1 where it has none."""
    row_of = np.full(len(vocabulary), -1, np.int64)
    ids = _ids_like(vocabulary.ids, items.ids, items.as_text or len(vocabulary.domains) > 1)
    if ids is None:
        return row_of
    for number, domain in enumerate(vocabulary.domains):
        codes = np.flatnonzero(vocabulary.domain == number)
        names = ("target",) if is_target else ("source", domain)
        rows, row_ids = _distinct_items(items, ids, _rows_of_domain(items.rows, names, items.domains))
        match = pc.index_in(vocabulary.ids.take(pa.array(codes)), value_set=row_ids)
        has_row = match.is_valid().to_numpy(zero_copy_only=False)
        row_of[codes[has_row]] = rows[match.drop_null().to_numpy()]
    return row_of


def with_log_columns(
    items: ItemTable | None, log: Tabular, columns: Columns, target: Vocabulary, source: Vocabulary, rules: ReadRules
) -> ItemTable | None:
    """Add columns of the target log that depend on the item alone, such as a campaign's channel or an ad's format.

    A column depends on the item alone if no item has two values in it, a null counting as a value, and some item has
    several rows. Columns that the table has already are not replaced; lists and other nested columns are skipped.

    Args:
        items: The item table so far; None for none.
        log: The target log.
        columns: Columns of the log that have a role; they are skipped.
        target: Items of the target domain.
        source: Items of the source domains, for which the new columns are null.
        rules: Whether ids were read as text.

    Returns:
        The table with these columns; None if there was no table and no such column.
    """
    skipped = {"value", *(name for _, name in columns.roles())}
    if items is not None:
        skipped.update(items.target.column_names)
    names = [n for n in log.schema.names if n not in skipped and not pa.types.is_nested(log.schema.field(n).type)]
    added = _columns_by_item(log, columns.item or "", names, target, rules.as_text)
    if not added:
        return items
    nulls = {name: pa.nulls(len(source), values.type) for name, values in added.items()}
    if items is None:
        return ItemTable(pa.table(added), pa.table(nulls), columns.item or "")
    return replace(items, target=_with_columns(items.target, added), source=_with_columns(items.source, nulls))


def _columns_by_item(
    log: Tabular, id_name: str, names: Sequence[str], target: Vocabulary, as_text: bool
) -> dict[str, pa.Array]:
    """Return those of some columns that have a single value per item, by item code, shape (n_items,) each."""
    code: pa.Array | None = None
    by_item: dict[str, pa.Array] = {}
    for name in names:
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
            by_item[name] = distinct["value"].take(pa.array(place, mask=place < 0)).combine_chunks()
    return by_item


def _with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table


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


def _rows_of_domain(rows: pa.Table, names: Sequence[str], sources: Sequence[str]) -> Int64:
    """Return the numbers of the rows that belong to a domain: all rows if the table does not name the domains."""
    everything = np.arange(len(rows))
    column = next((name for name in rows.column_names if name.lower() == _DOMAIN), None)
    if column is None:
        return everything
    kind = rows[column].type
    if not is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        return everything
    texts = rows[column].cast(pa.large_string())
    domains = pa.array(["source", "target", *sources], pa.large_string())
    if not pc.all(pc.is_in(texts, domains)).as_py():
        return everything
    mask = pc.is_in(texts, pa.array(names, pa.large_string())).to_numpy()
    return everything[np.asarray(mask, np.bool_)]


def _ids_like(ids: pa.Array, column: Column, as_text: bool) -> pa.Array | None:
    """Return the ids of a column in the type of a vocabulary's ids, or None where the two types do not match."""
    wants_text = not pa.types.is_integer(ids.type)
    read = read_ids(column, as_text=wants_text and (as_text or column.is_untyped))
    if pa.types.is_integer(read.distinct.type) == wants_text:
        return None
    return read.distinct.cast(ids.type).take(pa.array(read.place))


def _distinct_items(items: _ItemRows, ids: pa.Array, rows: Int64) -> tuple[Int64, pa.Array]:
    """Keep the first of several identical rows of an item; refuse rows that differ.

    Args:
        items: The table.
        ids: Shape (n,), id of every row.
        rows: Row numbers to consider.

    Returns:
        The rows that are kept, and their ids.
    """
    row_ids = ids.take(pa.array(rows))
    first = pc.index_in(row_ids, value_set=row_ids).to_numpy()
    is_first = first == np.arange(len(row_ids))
    if not is_first.all():
        is_repeated = np.isin(first, first[~is_first])
        repeated = items.rows.take(pa.array(rows[is_repeated]))
        n_repeated = len(np.unique(first[is_repeated]))
        if len(distinct_rows(repeated)) > n_repeated:
            example = row_ids[int(first[~is_first][0])].as_py()
            raise SchemaError(
                f"{items.ids.table} has {n_repeated} items with several rows that differ, such as {example!r}",
                expected=f"one row per '{items.ids.name}'",
                fix="keep one row per item",
            )
    return rows[is_first], row_ids.filter(pa.array(is_first))
