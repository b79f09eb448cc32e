"""Initial item biases: log popularity of items among the training rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Floats, Singles

SMOOTHING = 0.5  # events added to every item, so that the log of its popularity is finite
REAL, SYNTHETIC = 0, 1  # heads


def other_catalogue(examples: Examples) -> Codes:
    """Return the item codes that negatives of synthetic rows are drawn from."""
    return examples.catalogue if examples.synthetic_catalogue is None else examples.synthetic_catalogue


def item_prior(examples: Examples, row_head: npt.NDArray[np.uint8]) -> Singles:
    """Return the log popularity of items for both heads, shape (2, n_items).

    With one catalogue, each head counts its own rows. With two catalogues, an item counts the rows of its catalogue,
    and both heads get the same number.

    Args:
        examples: Training rows.
        row_head: Shape (len(examples),), `REAL` or `SYNTHETIC`; used with one catalogue only.
    """
    if examples.synthetic_catalogue is None:
        n_catalogue = len(examples.catalogue)
        return np.stack([_among(examples, row_head == one, n_catalogue) for one in (REAL, SYNTHETIC)])
    other = np.zeros(len(examples.item_keys), np.bool_)
    other[examples.synthetic_catalogue] = True
    prior = np.zeros((2, len(other)), np.float32)
    for items, rows, catalogue in (
        (~other, ~examples.is_synthetic, examples.catalogue),
        (other, examples.is_synthetic, examples.synthetic_catalogue),
    ):
        prior[:, items] = _among(examples, rows, len(catalogue))[items]
    return prior


def _among(examples: Examples, rows: npt.NDArray[np.bool_], n_catalogue: int) -> Singles:
    n_items = len(examples.item_keys)
    taken = np.bincount(examples.item[rows], examples.weight[rows], n_items).astype(np.float64)
    return log_popularity(taken, float(examples.weight[rows].sum(dtype=np.float64)), n_catalogue)


def log_popularity(taken: Floats, total: float, n_catalogue: int) -> Singles:
    """Return the smoothed log-odds of each item minus the log-odds of an average item, shape (n_items,).

    Args:
        taken: Shape (n_items,), total weight of the rows of each item.
        total: Total weight of all rows.
        n_catalogue: Number of items that negatives are drawn from.
    """
    popularity: Singles = np.log((taken + SMOOTHING) / (total / n_catalogue + SMOOTHING)).astype(np.float32)
    return popularity
