"""From scores to probabilities: a scale and an offset, fitted on held-out real rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalr.evaluation.kernels import factorization
from scalr.evaluation.models.deep.rows import RowSource, TrainingRows, UniformNegatives
from scalr.evaluation.models.link import LinkRows, fit_log_odds
from scalr.evaluation.models.mf import Factorization
from scalr.foundation import Floats

HELD_BACK = 0.05  # share of real rows held out for the link; scores of training rows are overconfident
MOST_POSITIVES = 50_000  # enough to estimate two parameters
LEAST_SCALE = 1e-3  # a link never reverses the order of items


def link_rows_of(real: RowSource, negatives: UniformNegatives) -> LinkRows:
    """Return a random sample of real rows, the first of an epoch, each with its uniform negatives."""
    parts: list[TrainingRows] = []
    for rows in real.portions(0):
        parts.append(rows.take(~rows.is_synthetic))
        if sum(map(len, parts)) >= MOST_POSITIVES:
            break
    rows = TrainingRows.joined(parts).take(slice(0, MOST_POSITIVES))
    items = negatives.items(rows, 0)
    label = np.zeros(items.shape)
    label[:, 0] = 1.0
    weight = np.repeat(rows.weight, items.shape[1]).astype(np.float64)
    return LinkRows(np.repeat(rows.user, items.shape[1]), items.reshape(-1), label.reshape(-1), weight)


def linked(model: Factorization, link_rows: LinkRows) -> Factorization:
    """Return the model with scores scaled to log-odds of the labels; the order of items is unchanged."""
    parameters = (model.user_factors, model.item_factors, model.item_bias, model.intercept)
    score = factorization.pair_scores(*parameters, link_rows.user, link_rows.item).astype(np.float64)
    scale, offset = fit_link(score, link_rows.label, link_rows.weight)
    return replace(
        model,
        user_factors=(scale * model.user_factors).astype(np.float32),
        item_bias=(scale * model.item_bias).astype(np.float32),
        intercept=np.float32(scale * float(model.intercept) + offset),
    )


def fit_link(score: Floats, label: Floats, weight: Floats) -> tuple[float, float]:
    """Return the scale (at least `LEAST_SCALE`) and the offset that minimise the weighted log loss.

    Args:
        score: Shape (n,).
        label: Shape (n,), 0 or 1, both present.
        weight: Shape (n,), above 0.
    """
    rate, spread = float(np.average(label, weights=weight)), float(score.std())
    middle, base = float(np.average(score, weights=weight)), float(np.log(rate / (1 - rate)))
    if spread >= 1e-9 and np.isfinite(spread):
        offset, scale = map(float, fit_log_odds(score[:, None], label, weight))
        if scale >= LEAST_SCALE:
            return scale, offset
    return LEAST_SCALE, base - LEAST_SCALE * middle
