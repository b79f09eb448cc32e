"""What an item table says about target items, as codes and numbers that models can learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Floats
from scalr.logs import Pair

MOST_CATEGORIES = 0.5  # of the items: a column with more distinct values names items, it does not group them


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """A column with few distinct values.

    Attributes:
        codes: Shape (n_items,), from 1 on, in the order of the sorted values; 0 where the table does not know.
        size: Number of codes, 0 included.
    """

    codes: Codes
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class ItemFeatures:
    """What is known about target items.

    Attributes:
        categories: By name of the column.
        numbers: By name of the column, shape (n_items,), NaN where the table does not know.
    """

    categories: Mapping[str, Categories] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)


def item_features(pair: Pair) -> ItemFeatures:
    """Return the columns of the item table that group or measure target items; nothing without a table.

    Text, truth values and whole numbers are categories, where at most half of the items have a value of their own;
    other numbers are numbers. Columns with one value only, and nested ones, say nothing and are left out.

    Args:
        pair: The logs, with their item table.
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
