"""What generating on Spark would take, from counts alone: nothing is drawn and nothing is laid out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.layout import EVENT_BYTES, WORKER_BYTES, cut
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.fitting.factors import BY_FACTORS, MOST_BYTES, PAIR_BYTES, bytes_per_user
from scalr.engines.spark.fitting.fitting import check_translator, histories_of
from scalr.engines.spark.reading.logs import SparkLogs
from scalr.foundation import Steps, format_bytes

_ROW_BYTES = 8  # of Spark's rows, beside 8 per column and texts in steps of 8
_HOT_SHARE = 0.05  # of all events in one item: worth a word
_FEW_KNOWN = 0.05  # share of source events by users whom the target knows


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would take.

    Attributes:
        source_events: Source events without nulls.
        target_events: Target events.
        known_share: Share of the source events whose users have target items that may be drawn, in [0, 1].
        paths: Paths from source to target items, at most: an event that repeats a (user, item) counts again.
        parts: Parts of the source, which are the tasks of each pass.
        split_items: Items that are split over several parts.
        passes: Passes over the parts; the source itself is read three times before.
        shuffle_bytes: What the shuffle of the source moves at most, before compression; likewise of pairs for factors.
        rows: Synthetic rows, at most; those of real pairs, and what refining drops, are fewer.
        machine_bytes: What each machine holds of the target, once.
        task_bytes: What the Python worker of a task holds beside it, at most, about.
        warnings: Plain sentences.
    """

    source_events: int
    target_events: int
    known_share: float
    paths: int
    parts: int
    split_items: int
    passes: int
    shuffle_bytes: int
    rows: int
    machine_bytes: int
    task_bytes: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def plan(logs: SparkLogs, settings: Steps, *, partitions: int | None = None) -> Plan:
    """Count what a run would take.

    Args:
        logs: Logs that were looked at.
        settings: What would be done.
        partitions: Parts to cut the source into; None to choose.

    Raises:
        ConfigError: If the translator does not run on Spark.
    """
    from pyspark.sql import functions as f

    check_translator(settings.translate)
    target, form = logs.pair.target, logs.form
    histories = histories_of(logs.pair, settings.translate)
    size = np.diff(histories.start)
    users = np.flatnonzero(size)
    with no_pandas_warning():
        known = logs.events.sparkSession.createDataFrame(
            pa.table({"user": target.users.ids.take(pa.array(users)), "size": size[users]})
        )
    sizes = logs.events.join(f.broadcast(known), "user").agg(f.count("*"), f.sum("size")).first()
    texts = [f"8 * ceil(octet_length({role}) / 8)" for role, is_text in _texts(form) if is_text]
    widths = [f.expr(f"CAST(sum({width}) AS BIGINT)") for width in texts]
    text_bytes = sum(logs.events.agg(*widths).first()) if widths else 0
    by_factors, n_users, each = settings.translate.translator in BY_FACTORS, 0, 0
    if by_factors:
        n_users = int(logs.events.agg(f.approx_count_distinct("user")).first()[0])
        each = bytes_per_user(settings.translate, len(target.items))
    layout = cut(logs.events, logs.rows, len(users), partitions=partitions)
    lent = sum(min(one.events, len(users)) * (one.splits - 1) for one in layout.hot)
    columns = len(form.roles) + (3 if layout.hot else 1 + (len(form.domains) > 1))
    fixed = (logs.rows + lent) * (_ROW_BYTES + 8 * columns)
    sampled = by_factors and logs.rows > settings.translate.fit_pairs
    refining = settings.refine
    events = int(sizes[0])
    rows = layout.most_rows(len(users))
    held = WORKER_BYTES + EVENT_BYTES * rows
    by_rows = refining.duplicates != "keep" or refining.max_per_user is not None or refining.max_per_item is not None
    found = Plan(
        source_events=logs.rows,
        target_events=len(target),
        known_share=events / logs.rows,
        paths=int(sizes[1] or 0),
        parts=layout.parts,
        split_items=len(layout.hot),
        passes=2 + by_factors + sampled + (refining.align is not None and refining.duplicates == "keep"),
        shuffle_bytes=fixed + int(text_bytes) + sampled * logs.rows * PAIR_BYTES,
        rows=logs.rows * settings.sample.draws_per_event,
        machine_bytes=int(
            histories.start.nbytes + histories.item.nbytes + histories.recent_item.nbytes + histories.recent_time.nbytes
            + 4 * len(target) + 2 * target.users.ids.nbytes + 2 * target.users.keys.nbytes
            + target.items.ids.nbytes + target.items.keys.nbytes + n_users * each
        ),
        task_bytes=held + 4 * min(int(sizes[1] or 0), len(histories.item)) + 8 * len(target.items)
        + min(rows, n_users) * each,
        warnings=(),
    )  # fmt: skip
    hot = max(layout.hot, key=lambda one: one.events, default=None)
    words = []
    if sampled:
        words.append(
            f"Factors are fitted on a sample of users with about {settings.translate.fit_pairs:,} of up to "
            f"{logs.rows:,} distinct pairs of user and source item (translate.fit_pairs), and then found for all users."
        )
    if n_users * each > MOST_BYTES:
        words.append(
            f"Factors of {n_users:,} users would take {format_bytes(n_users * each)} of each machine: more than "
            f"{format_bytes(MOST_BYTES)} are refused."
        )
    return _warned(found, None if hot is None else (hot.item, hot.events), words, by_rows=by_rows)


def _texts(form: Any) -> tuple[tuple[str, bool], ...]:
    return ("user", form.text_users), ("item", form.text_items)


def _warned(found: Plan, hot: tuple[Any, int] | None, words: list[str], *, by_rows: bool) -> Plan:
    warnings = []
    if hot is not None and hot[1] > _HOT_SHARE * found.source_events:
        share = 100 * hot[1] / found.source_events
        warnings.append(f"Item {hot[0]!r} has {share:.0f} % of all source events; it is split over several tasks.")
    if found.known_share < _FEW_KNOWN:
        share = 100 * found.known_share
        warnings.append(f"Only {share:.1f} % of the source events are of users who have target items: little to learn.")
    if by_rows:
        warnings.append(
            f"Duplicates and caps compare rows with each other: up to {found.rows:,} rows are shuffled as well."
        )
    warnings += words
    if found.machine_bytes > 4 << 30:
        size = format_bytes(found.machine_bytes)
        warnings.append(f"Each machine holds {size} of the target log beside what Spark holds; leave room for it.")
    values = {name: getattr(found, name) for name in Plan.__slots__ if name != "warnings"}
    return Plan(**values, warnings=tuple(warnings))
