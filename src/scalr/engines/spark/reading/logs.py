"""Logs for Spark: the source as a frame in the common form, the target log read on the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.reading.source import SourceFrame, check_source, unify_sources
from scalr.engines.spark.reading.target import TargetInputs, read_target
from scalr.foundation import Steps, TranslateSettings
from scalr.logs import LogRequest, PackedTimes, SourceCounts, StoredLog, StoredPair, Vocabulary
from scalr.synthesis import pair_count_settings


@dataclass(frozen=True, slots=True, eq=False)
class SparkLogs:
    """Logs that have passed the checks: the source as a frame, the target in memory.

    Attributes:
        events: Source events in the common form.
        form: What its columns mean.
        sources: The source logs.
        target: The target log and the item table.
        pair: The target log with a source that has no events.
    """

    events: Any
    form: SourceForm
    sources: tuple[SourceFrame, ...]
    target: TargetInputs
    pair: StoredPair

    @property
    def rows(self) -> int:
        """Return the number of source events."""
        return sum(source.kept for source in self.sources)

    @property
    def inputs(self) -> tuple[Mapping[str, Any], ...]:
        """Return the entries of the inputs for the manifest."""
        sources = [
            {"role": "source", "name": log.name, "files": sorted(log.frame.inputFiles()), "rows": log.rows}
            for log in self.sources
        ]
        return (*sources, *self.target.entries)


def read_spark_logs(request: LogRequest, settings: Steps) -> SparkLogs:
    """Check the source frames, in one scan each, and read the target log.

    Args:
        request: The logs; the sources are frames of Spark.
        settings: Decides which item columns and categories are read.
    """
    request = replace(request, item_columns=settings.negatives.kind != "none")
    rules = request.rules
    sources = [check_source(frame, name, *request.columns_of(name), rules) for name, frame in request.sources().items()]
    paths = paths_of(settings.translate)
    categories = paths is not None and paths.backoff > 0
    read = read_target(request, sources, categories=categories)
    events, form = unify_sources(sources, as_text=rules.as_text)
    return SparkLogs(events, form, tuple(sources), read, _pair_of(read, form))


def _pair_of(read: TargetInputs, form: SourceForm) -> StoredPair:
    no_ids = pa.array([], pa.string() if form.text_items else pa.int64())
    no_items = Vocabulary(no_ids, np.zeros(0, np.uint64), np.zeros(0, np.int16), form.domains)
    nothing = np.zeros(0, np.int64)
    log = StoredLog(
        form.name, read.log.users, no_items, np.zeros(1, np.int64), np.zeros(0, np.int32),
        time=PackedTimes(0, 1, nothing) if "time" in form.roles else None, columns=form.columns,
        time_unit=form.time_unit, schema=form.schema,
    )  # fmt: skip
    counts = SourceCounts(nothing, nothing, nothing, (), True, 0)
    return StoredPair(log, read.log, counts, items=read.items, inputs=read.entries, warnings=read.warnings)


def paths_of(settings: TranslateSettings) -> TranslateSettings | None:
    """Return the settings of the paths that a translator uses; None for translators without paths."""
    if settings.translator == "factor":
        return pair_count_settings(settings)
    return settings if settings.translator in ("cooccurrence", "conditioned") else None
