"""Intermediate rows between global passes, with ids instead of codes: integer codes differ from task to task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import by_number, in_arrow
from scalr.engines.spark.cluster.part import PartPair, grouped_rows
from scalr.foundation import Int64
from scalr.logs import IdColumn, Vocabulary, typed_keys
from scalr.synthesis import GroupRule, Rows

BUCKET_ROWS = 1 << 20  # rows compared with each other in a task, about
BATCH_ROWS = 1 << 16  # rows of a batch that is handed to Spark
_SIGN = np.uint64(1 << 63)


def rows_schema(form: SourceForm) -> pa.Schema:
    """Return the columns of intermediate rows.

    `order` is the key of the source item as a signed number of the same order, `place` the number of the draw among
    all draws of its part. Sorted by both, the rows of a user are in canonical order.
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
        users: Ids of users, with their keys, unordered.
        source_items: Ids of source items, unordered.
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


def canonical_order(table: pa.Table) -> pa.Table:
    """Return rows sorted so that those of each user are in canonical order."""
    order = np.lexsort((table["place"].to_numpy(), table["order"].to_numpy()))
    return table.take(pa.array(order))


@dataclass(frozen=True, slots=True, eq=False)
class CompareRows:
    """Keeps the rows that a rule picks from each bucket of rows."""

    form: SourceForm
    rule: GroupRule

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Narrow down the rows of each bucket."""
        for _, rows in grouped_rows(batches, "bucket"):
            table = canonical_order(rows.drop_columns(["bucket"]))
            yield from self.narrowed(table).to_batches(BATCH_ROWS)

    def narrowed(self, table: pa.Table) -> pa.Table:
        """Return the rows of a table that stay."""
        places, weight = self.rule.pick(read_rows(table, self.form).rows)
        left = table.take(pa.array(places))
        return (
            left if weight is None else left.set_column(left.column_names.index("weight"), "weight", pa.array(weight))
        )


def compared_rows(frame: Any, form: SourceForm, rule: GroupRule, n_rows: int) -> Any:
    """Return the rows of a frame that a rule keeps.

    Args:
        frame: Rows as in `rows_schema`.
        form: What their columns mean.
        rule: Compares the rows of a group.
        n_rows: Rows of the frame, at most.
    """
    n_buckets = max(1, -(-n_rows // BUCKET_ROWS))
    bucket = f"CAST(pmod(xxhash64({', '.join(rule.columns)}), {n_buckets}) AS INT) AS bucket"
    return in_arrow(
        by_number(frame.selectExpr("*", bucket), "bucket", n_buckets), CompareRows(form, rule), frame.schema
    )
