"""Distances between real and synthetic marginals."""

from __future__ import annotations

import numpy as np

from scalr.foundation import Floats, SchemaError


def wasserstein(
    real: Floats, synthetic: Floats, real_weight: Floats | None = None, synthetic_weight: Floats | None = None
) -> float:
    """Return the area between two cumulative distributions, in the unit of the values; 0 if they are equal.

    This is the least mean distance by which values must move to turn one distribution into the other.

    Args:
        real: Shape (n,), values.
        synthetic: Shape (m,), values.
        real_weight: Shape (n,), at least 0; all 1 if None.
        synthetic_weight: Shape (m,), likewise.

    Raises:
        SchemaError: If one side has no weight.
    """
    values = np.concatenate([real, synthetic]).astype(np.float64)
    order = np.argsort(values, kind="stable")
    mass = np.concatenate([_shares(real, real_weight, "real"), -_shares(synthetic, synthetic_weight, "synthetic")])
    between = np.cumsum(mass[order])[:-1]  # difference of the distributions on each gap
    return float(np.abs(between) @ np.diff(values[order]))


def total_variation(real: Floats, synthetic: Floats) -> float:
    """Return half the summed difference of two histograms' shares, in [0, 1]; 0 if they are equal.

    Args:
        real: Shape (n_categories,), counts or weights, at least 0.
        synthetic: Shape (n_categories,), likewise.

    Raises:
        SchemaError: If one side has no weight.
    """
    return float(np.abs(_shares(real, real, "real") - _shares(synthetic, synthetic, "synthetic")).sum() / 2)


def _shares(values: Floats, weight: Floats | None, name: str) -> Floats:
    weight = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)
    total = float(weight.sum())
    if total <= 0:
        raise SchemaError(
            f"the {name} side has {len(values)} values of weight {total:g} together",
            expected="at least one value of weight above 0 on both sides",
            fix="compare only sides that have events",
        )
    return weight / total
