"""Estimate the cost of generating on Spark, from counts alone: nothing is drawn or laid out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.layout import EVENT_BYTES, WORKER_BYTES, Layout, cut_source
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.fitting.factors import BY_FACTORS, MOST_BYTES, PAIR_BYTES, bytes_per_user
from scalr.engines.spark.fitting.fitting import check_translator, histories_of
from scalr.engines.spark.reading.logs import SparkLogs
from scalr.foundation import RefineSettings, Steps, TranslateSettings, format_bytes
from scalr.synthesis import TargetHistories

_ROW_BYTES = 8  # of Spark's rows, besides 8 per column and texts in steps of 8
_HOT_SHARE = 0.05  # share of all events in one item that is worth a warning
_FEW_KNOWN = 0.05  # share of source events by users with target items, below which there is a warning


@dataclass(frozen=True, slots=True)
class DryRun:
    """The estimated cost of a run.

    Attributes:
        source_events: Source events without nulls.
        target_events: Target events.
        known_share: Share of the source events whose users have target items that may be drawn, in [0, 1].
        paths: Upper bound of the paths from source to target items: a repeated (user, item) counts again.
        parts: Parts of the source, which are the tasks of each pass.
        split_items: Items that are split over several parts.
        passes: Passes over the parts, after three scans of the source itself.
        shuffle_bytes: Upper bound of the shuffled bytes of the source, and of pairs for factors, before compression.
        rows: Upper bound of the synthetic rows: real pairs and rows that refining drops are included.
        machine_bytes: Memory of each machine for the target, once.
        task_bytes: Approximate upper bound of the memory of a task's Python worker, besides that.
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


@dataclass(frozen=True, slots=True)
class _Counts:
    """What Spark counts for the estimate.

    Attributes:
        known_events: Source events of users with target items that may be drawn.
        paths: Paths of these events.
        text_bytes: Bytes of ids that are text, in steps of 8.
        factor_users: Source users that have factors, about; 0 for translators without factors.
        user_bytes: Bytes of the factors of a user.
        is_sampled: Whether factors are fitted on a sample of users.
    """

    known_events: int
    paths: int
    text_bytes: int
    factor_users: int
    user_bytes: int
    is_sampled: bool


def dry_run(logs: SparkLogs, settings: Steps, *, partitions: int | None = None) -> DryRun:
    """Estimate the cost of a run.

    Args:
        logs: Logs that were read.
        settings: Settings of the run.
        partitions: Number of parts with whole items; None to choose.

    Raises:
        ConfigError: If the translator does not run on Spark.
    """
    check_translator(settings.translate)
    histories = histories_of(logs.pair, settings.translate)
    n_path_users = int(np.count_nonzero(np.diff(histories.start)))
    counts = _count(logs, settings.translate, histories)
    layout = cut_source(logs.events, logs.rows, n_path_users, partitions=partitions)
    part_rows, n_items = layout.most_rows(n_path_users), len(logs.pair.target.items)
    refining, by_factors = settings.refine, settings.translate.translator in BY_FACTORS
    pair_bytes = counts.is_sampled * logs.rows * PAIR_BYTES
    estimate = DryRun(
        source_events=logs.rows,
        target_events=len(logs.pair.target),
        known_share=counts.known_events / logs.rows,
        paths=counts.paths,
        parts=layout.parts,
        split_items=len(layout.hot),
        passes=2 + by_factors + counts.is_sampled + (refining.align is not None and refining.duplicates == "keep"),
        shuffle_bytes=_row_bytes(logs, layout, n_path_users) + counts.text_bytes + pair_bytes,
        rows=logs.rows * settings.sample.draws_per_event,
        machine_bytes=_target_bytes(logs, histories) + counts.factor_users * counts.user_bytes,
        task_bytes=WORKER_BYTES + EVENT_BYTES * part_rows + 4 * min(counts.paths, len(histories.item)) + 8 * n_items
        + min(part_rows, counts.factor_users) * counts.user_bytes,
        warnings=(),
    )  # fmt: skip
    warnings = [
        *_source_warnings(estimate, layout),
        *_refining_warnings(estimate, refining),
        *_factor_warnings(estimate, counts, settings.translate),
        *_memory_warnings(estimate),
    ]
    return replace(estimate, warnings=tuple(warnings))


def _count(logs: SparkLogs, settings: TranslateSettings, histories: TargetHistories) -> _Counts:
    """Count events, paths and users in Spark."""
    from pyspark.sql import functions as f

    target, size = logs.pair.target, np.diff(histories.start)
    users = np.flatnonzero(size)
    with no_pandas_warning():
        known = logs.events.sparkSession.createDataFrame(
            pa.table({"user": target.users.ids.take(pa.array(users)), "size": size[users]})
        )
    events, paths = logs.events.join(f.broadcast(known), "user").agg(f.count("*"), f.sum("size")).first()
    texts = [f"8 * ceil(octet_length({role}) / 8)" for role, is_text in logs.form.id_roles if is_text]
    widths = [f.expr(f"CAST(sum({width}) AS BIGINT)") for width in texts]
    text_bytes = sum(logs.events.agg(*widths).first()) if widths else 0
    if settings.translator not in BY_FACTORS:
        return _Counts(int(events), int(paths or 0), int(text_bytes), 0, 0, is_sampled=False)
    n_users = int(logs.events.agg(f.approx_count_distinct("user")).first()[0])
    user_bytes, is_sampled = bytes_per_user(settings, len(target.items)), logs.rows > settings.fit_pairs
    return _Counts(int(events), int(paths or 0), int(text_bytes), n_users, user_bytes, is_sampled)


def _row_bytes(logs: SparkLogs, layout: Layout, n_path_users: int) -> int:
    """Return the bytes of the rows of all parts, without texts."""
    copied = sum(min(item.events, n_path_users) * (item.splits - 1) for item in layout.hot)
    columns = len(logs.form.roles) + (3 if layout.hot else 1 + (len(logs.form.domains) > 1))
    return (logs.rows + copied) * (_ROW_BYTES + 8 * columns)


def _target_bytes(logs: SparkLogs, histories: TargetHistories) -> int:
    """Return the bytes of the target side on each machine."""
    target = logs.pair.target
    arrays = (histories.start, histories.item, histories.recent_item, histories.recent_time)
    ids = (
        2 * target.users.ids.nbytes + 2 * target.users.keys.nbytes + target.items.ids.nbytes + target.items.keys.nbytes
    )
    return int(sum(array.nbytes for array in arrays) + 4 * len(target) + ids)


def _source_warnings(estimate: DryRun, layout: Layout) -> list[str]:
    warnings = []
    hot = max(layout.hot, key=lambda item: item.events, default=None)
    if hot is not None and hot.events > _HOT_SHARE * estimate.source_events:
        share = 100 * hot.events / estimate.source_events
        warnings.append(f"Item {hot.item!r} has {share:.0f} % of all source events; it is split over several tasks.")
    if estimate.known_share < _FEW_KNOWN:
        share = 100 * estimate.known_share
        warnings.append(f"Only {share:.1f} % of the source events are of users who have target items: little to learn.")
    return warnings


def _refining_warnings(estimate: DryRun, refining: RefineSettings) -> list[str]:
    if refining.duplicates == "keep" and refining.max_per_user is None and refining.max_per_item is None:
        return []
    return [f"Duplicates and caps compare rows with each other: up to {estimate.rows:,} rows are shuffled as well."]


def _factor_warnings(estimate: DryRun, counts: _Counts, settings: TranslateSettings) -> list[str]:
    warnings = []
    if counts.is_sampled:
        warnings.append(
            f"Factors are fitted on a sample of users with about {settings.fit_pairs:,} of up to "
            f"{estimate.source_events:,} distinct pairs of user and source item (translate.fit_pairs), and then "
            "computed for all users."
        )
    n_bytes = counts.factor_users * counts.user_bytes
    if n_bytes > MOST_BYTES:
        warnings.append(
            f"Factors of {counts.factor_users:,} users would take {format_bytes(n_bytes)} of each machine: more than "
            f"{format_bytes(MOST_BYTES)} are refused."
        )
    return warnings


def _memory_warnings(estimate: DryRun) -> list[str]:
    if estimate.machine_bytes <= 4 << 30:
        return []
    size = format_bytes(estimate.machine_bytes)
    return [f"Each machine needs {size} for the target log, besides Spark's own memory; leave room for it."]
