"""What a network needs beside rows: the numbers of users and items, and the fields of the items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.deep.histories import Histories
from scalr.evaluation.models.features import ItemFeatures
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes

BUCKETS = 10  # quantile buckets of a numeric column


@dataclass(frozen=True, slots=True, eq=False)
class Entities:
    """Users and items.

    Attributes:
        n_users: Number of users.
        catalogue: Shape (n,), codes of items from which negatives of real rows are drawn.
        synthetic_catalogue: Like `catalogue`, for synthetic rows; None uses `catalogue`.
        fields: Shape (n_items, fields), a code per item and column of the item table, 0 where the value is missing.
        sizes: Number of codes of each field, 0 included.
        histories: Earlier items of users; None if the network does not read them.
        fitted_until: Latest time of the events that the rows come from; None without time.
        fitted_on: Digest of the target log that was visible.
    """

    n_users: int
    catalogue: Codes
    synthetic_catalogue: Codes | None
    fields: npt.NDArray[np.int64]
    sizes: tuple[int, ...]
    histories: Histories | None = None
    fitted_until: int | None = None
    fitted_on: int | None = None

    @property
    def n_items(self) -> int:
        """Return the number of items."""
        return len(self.fields)

    @classmethod
    def from_examples(cls, examples: Examples, histories: Histories | None = None) -> Self:
        """Return the users and items of training rows."""
        fields, sizes = item_fields(examples.item_features, len(examples.item_keys))
        return cls(
            len(examples.user_keys),
            examples.catalogue,
            examples.synthetic_catalogue,
            fields,
            sizes,
            histories,
            examples.fitted_until,
            examples.fitted_on,
        )


def item_fields(features: ItemFeatures, n_items: int) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
    """Return codes of the item table's columns, shape (n_items, fields), and the number of codes of each.

    A number is replaced by its decile, counted from 1; 0 marks a missing number.
    """
    columns: list[npt.NDArray[np.int64]] = [one.codes.astype(np.int64) for one in features.categories.values()]
    sizes = [one.size for one in features.categories.values()]
    for numbers in features.numbers.values():
        known = np.isfinite(numbers)
        edges = np.unique(np.quantile(numbers[known], np.arange(1, BUCKETS) / BUCKETS))
        columns.append(np.where(known, 1 + np.searchsorted(edges, numbers, side="right"), 0))
        sizes.append(len(edges) + 2)
    if not columns:
        return np.zeros((n_items, 0), np.int64), ()
    return np.ascontiguousarray(np.stack(columns, axis=1)), tuple(sizes)
