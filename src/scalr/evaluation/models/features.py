"""Features of target items from the item table, as integer codes and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Floats
from scalr.logs import Pair

MOST_CATEGORIES = 0.5  # maximum number of distinct values of a text or integer column, as a share of the items


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """A categorical column.

    Attributes:
        codes: Shape (n_items,), at least 1 and in the order of the sorted values; 0 for a missing value.
        size: Number of codes, including 0.
    """

    codes: Codes
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class ItemFeatures:
    """Features of target items.

    Attributes:
        categories: Categorical columns by name.
        numbers: Numeric columns by name, shape (n_items,), NaN for a missing value.
    """

    categories: Mapping[str, Categories] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)


def item_features(pair: Pair) -> ItemFeatures:
    """Return the categorical and numeric columns of the item table for target items; no columns without a table.

    Text, Boolean and integer columns are categorical. They are dropped if they have more distinct values than half of
    the items. Floating-point and decimal columns are numeric. Nested columns and constant columns are dropped.

    Args:
        pair: The logs and their item table.
    """
    if pair.items is None:
        return ItemFeatures()
    table, categories, numbers = pair.items.target, dict[str, Categories](), dict[str, Floats]()
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            if len(np.unique(values[np.isfinite(values)])) > 1:
                numbers[name] = np.where(np.isfinite(values), values, np.nan)
        elif _is_plain(column.type):
            found = pc.unique(column.drop_null()).sort()
            if 1 < len(found) <= MOST_CATEGORIES * len(column):
                codes = pc.index_in(column, value_set=found).fill_null(-1).to_numpy().astype(np.int32) + np.int32(1)
                categories[name] = Categories(codes, len(found) + 1)
    return ItemFeatures(categories, numbers)


def _is_plain(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    )
