"""Synthetic rows between two steps that look at all of them: columns that no task's codes are needed for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import by_number, in_arrow
from scalr.engines.spark.cluster.part import PartPair, groups_of
from scalr.foundation import Int64
from scalr.logs import IdColumn, Vocabulary, typed_keys
from scalr.synthesis import Rows, best_of_each, keys_of, most_confident

BUCKET_ROWS = 1 << 20  # rows compared with each other in a task, about
BATCH_ROWS = 1 << 16  # rows handed to Spark at a time
_SIGN = np.uint64(1 << 63)


def rows_schema(form: SourceForm) -> pa.Schema:
    """Return the columns of rows.

    `order` is the key of the source item as a signed number of the same order, `place` the number of the draw among
    all of its part: rows of one user stand in canonical order when sorted by both.
    """
    fields = {
        "user": pa.string() if form.text_users else pa.int64(),
        "domain": pa.int16(),
        "source_item": pa.string() if form.text_items else pa.int64(),
        "item": pa.int32(),
        "time": pa.int64(),
        "draw": pa.int32(),
        "confidence": pa.float32(),
        "support": pa.int32(),
        "weight": pa.float32(),
        "key": pa.int64(),
        "order": pa.int64(),
        "place": pa.int64(),
    }
    if "time" not in form.roles:
        del fields["time"]
    return pa.schema(list(fields.items()))


def to_table(rows: Rows, part: PartPair, places: Int64, schema: pa.Schema) -> pa.Table:
    """Return rows of a part as a table.

    Args:
        rows: The rows.
        part: The part.
        places: Shape (n,), the number of each row among all draws of the part.
        schema: See `rows_schema`.
    """
    things = part.pair.source.items
    columns: dict[str, Any] = {
        "user": part.pair.target.users.ids.take(pa.array(rows.user)),
        "domain": things.domain[rows.source_item],
        "source_item": things.ids.take(pa.array(rows.source_item)),
        "item": rows.item,
        "time": rows.time,
        "draw": rows.draw,
        "confidence": rows.confidence,
        "support": rows.support,
        "weight": rows.weight,
        "key": rows.key.view(np.int64),
        "order": (things.keys[rows.source_item] ^ _SIGN).view(np.int64),
        "place": places,
    }
    return pa.table([pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names], schema=schema)


@dataclass(frozen=True, slots=True, eq=False)
class ReadRows:
    """Rows of a table, with the ids that their codes stand for.

    Attributes:
        rows: The rows, in the order of the table.
        users: Ids of users, with their keys, in no order.
        source_items: Ids of source items, in no order.
    """

    rows: Rows
    users: Vocabulary
    source_items: Vocabulary


def read_rows(table: pa.Table, form: SourceForm) -> ReadRows:
    """Return a table of rows as codes."""
    users = _ids(table["user"], form.text_users)
    domain = table["domain"].to_numpy()
    items = _ids(table["source_item"], form.text_items)
    both, item = np.unique(items.place.astype(np.int64) * len(form.domains) + domain, return_inverse=True)
    ids = items.distinct.take(pa.array(both // len(form.domains)))
    source_items = Vocabulary(
        ids.cast(pa.string()) if form.text_items else ids, np.zeros(len(both), np.uint64),
        (both % len(form.domains)).astype(np.int16), form.domains,
    )  # fmt: skip
    distinct = users.distinct.cast(pa.string()) if form.text_users else users.distinct
    words = Vocabulary(distinct, typed_keys(users.distinct), np.zeros(len(distinct), np.int16), ("",))
    rows = Rows(
        event=np.arange(len(table)),
        event_user=users.place,
        event_item=item.astype(np.int32),
        event_time=table["time"].to_numpy() if "time" in table.column_names else None,
        event_key=table["key"].to_numpy().view(np.uint64),
        item=table["item"].to_numpy(),
        draw=table["draw"].to_numpy(),
        confidence=table["confidence"].to_numpy(),
        support=table["support"].to_numpy(),
        weight=table["weight"].to_numpy(),
    )
    return ReadRows(rows, words, source_items)


def _ids(values: pa.ChunkedArray, is_text: bool) -> IdColumn:
    return IdColumn.from_values(values.cast(pa.large_string() if is_text else pa.int64()))


def in_order(table: pa.Table) -> pa.Table:
    """Return rows so that those of each user stand in canonical order."""
    order = np.lexsort((table["place"].to_numpy(), table["order"].to_numpy()))
    return table.take(pa.array(order))


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """Keeps the most confident row of each (user, item) of a bucket."""

    form: SourceForm
    merge: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Narrow down the rows of each bucket."""
        for _, held in groups_of(batches, "bucket"):
            table = in_order(held.drop_columns(["bucket"]))
            rows = read_rows(table, self.form).rows
            best, weight = best_of_each(rows.user, rows.item, rows.confidence, rows.weight)
            left = table.take(pa.array(best))
            if self.merge:
                left = left.set_column(left.column_names.index("weight"), "weight", pa.array(weight))
            yield from left.to_batches(BATCH_ROWS)


@dataclass(frozen=True, slots=True, eq=False)
class MostConfident:
    """Keeps at most `limit` rows of each user or item of a bucket, or of what comes together where there is none."""

    form: SourceForm
    group: str
    limit: int
    seed: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Narrow down the rows of each bucket."""
        for _, held in groups_of(batches, "bucket"):
            table = in_order(held.drop_columns(["bucket"]))
            yield from self.narrowed(table).to_batches(BATCH_ROWS)

    def narrowed(self, table: pa.Table) -> pa.Table:
        """Return the rows that stay."""
        rows = read_rows(table, self.form).rows
        keep = most_confident(getattr(rows, self.group), rows.confidence, keys_of(rows), self.limit, self.seed)
        return table.filter(pa.array(keep))


def best_rows(frame: Any, form: SourceForm, n_rows: int, *, merge: bool) -> Any:
    """Return the most confident row of each (user, item)."""
    return in_arrow(_in_buckets(frame, "user, item", n_rows), Best(form, merge), frame.schema)


def capped_rows(frame: Any, work: MostConfident, n_rows: int) -> Any:
    """Return at most so many rows of each user or item."""
    return in_arrow(_in_buckets(frame, work.group, n_rows), work, frame.schema)


def _in_buckets(frame: Any, columns: str, n_rows: int) -> Any:
    n = max(1, -(-n_rows // BUCKET_ROWS))
    return by_number(frame.selectExpr("*", f"CAST(pmod(xxhash64({columns}), {n}) AS INT) AS bucket"), "bucket", n)
