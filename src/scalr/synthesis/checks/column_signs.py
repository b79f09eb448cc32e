"""Formatting fingerprints of a column: nulls, precision of times and numbers, values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Floats

MOST_VALUES = 254  # most frequent values of a text column; all others share one code
BINS = 32  # of numbers and times, by quantiles
STEPS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000)  # microseconds: of a day, hour, minute, second
MOST_DIGITS = 7


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """Fingerprints of one column.

    Attributes:
        value: Shape (n,), numbers, microseconds, or codes of texts by frequency; NaN for null.
        form: Shape (n,), 0 for null; else from 1 on: decimals of a number, trailing zeros of a whole one, the
            coarsest step of a time.
        is_text: Whether values are codes.
    """

    value: Floats
    form: Codes
    is_text: bool

    def cells(self) -> Codes:
        """Return the bin of the value together with the form, shape (n,), from 0 on."""
        known = self.value[~np.isnan(self.value)]
        if self.is_text or not len(known):
            place = np.where(np.isnan(self.value), 0, self.value).astype(np.int64)
        else:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            place = np.searchsorted(edges, np.nan_to_num(self.value), side="right")
        _, cell = np.unique(place * (MOST_DIGITS + 3) + self.form, return_inverse=True)
        cells: Codes = cell.astype(np.int32)
        return cells


def signs_of(column: pa.ChunkedArray) -> Signs:
    """Return the fingerprints of a column of any type; of nested values only the nulls are used."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    null = column.is_null().to_numpy()
    if pa.types.is_temporal(kind) and not (pa.types.is_duration(kind) or pa.types.is_time(kind)):
        times = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        whole = times.fill_null(0).to_numpy()
        coarsest = np.full(len(whole), len(STEPS) + 1, np.int32)
        for place, step in reversed(list(enumerate(STEPS))):
            coarsest[whole % step == 0] = place + 1
        return _masked(whole.astype(np.float64), coarsest, null)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        whole = column.cast(pa.float64(), safe=False).fill_null(0).to_numpy()
        zeros = np.ones(len(whole), np.int32)
        for digits in range(1, MOST_DIGITS):
            zeros[whole % 10.0**digits == 0] = digits + 1
        zeros[whole == 0] = 1
        return _masked(whole, zeros, null)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        number = column.cast(pa.float64(), safe=False).fill_null(0).to_numpy()
        null = null | ~np.isfinite(number)
        number = np.where(null, 0.0, number)
        decimals = np.full(len(number), MOST_DIGITS + 1, np.int32)
        for digits in reversed(range(MOST_DIGITS)):
            decimals[np.isclose(np.round(number, digits), number, rtol=1e-7, atol=1e-12)] = digits + 1
        return _masked(number, decimals, null)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        counts = pc.value_counts(column.drop_null())
        values, often = counts.field("values"), counts.field("counts").to_numpy()
        order = np.lexsort((np.argsort(np.argsort(values.to_numpy(zero_copy_only=False).astype(str))), -often))
        rank = np.empty(len(often), np.float64)
        rank[order] = np.minimum(np.arange(len(often)), MOST_VALUES)
        place = pc.index_in(column, value_set=values).fill_null(0).to_numpy()
        code = rank[place] if len(rank) else np.zeros(len(null))
        return _masked(code, np.ones(len(null), np.int32), null, is_text=True)
    return _masked(np.zeros(len(null)), np.ones(len(null), np.int32), null)


def _masked(value: Floats, form: Codes, null: npt.NDArray[np.bool_], *, is_text: bool = False) -> Signs:
    return Signs(np.where(null, np.nan, value), np.where(null, 0, form).astype(np.int32), is_text)
