"""From scores to probabilities: a scale and an offset, fitted on real rows that the network did not learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalr.domain import Codes, Floats
from scalr.kernels import factorization
from scalr.models.deep.rows import Negatives, Rows, RowSource
from scalr.models.mf import Factorization

HELD_BACK = (
    0.05  # share of the real rows that scores are linked by; on rows that were learnt from they are far too sure
)
MOST_POSITIVES = 50_000  # more would not change two numbers
RIDGE = 1.0  # rows' worth of a penalty on the scale, so that rows that are told apart perfectly do not make it infinite
LEAST_SCALE = 1e-3  # a link never turns the order of items round
MOST_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Labelled pairs.

    Attributes:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
    """

    user: Codes
    item: Codes
    label: Floats
    weight: Floats

    @classmethod
    def of(cls, real: RowSource, negatives: Negatives) -> Asked:
        """Take the first real rows of a pass, which are a random sample of them, each with its uniform negatives."""
        parts: list[Rows] = []
        for rows in real.portions(0):
            parts.append(rows.take(~rows.is_synthetic))
            if sum(map(len, parts)) >= MOST_POSITIVES:
                break
        rows = Rows.joined(parts).take(slice(0, MOST_POSITIVES))
        items = negatives.items(rows, 0)
        label = np.zeros(items.shape)
        label[:, 0] = 1.0
        weight = np.repeat(rows.weight, items.shape[1]).astype(np.float64)
        return cls(np.repeat(rows.user, items.shape[1]), items.reshape(-1), label.reshape(-1), weight)


def linked(model: Factorization, asked: Asked) -> Factorization:
    """Return the model whose scores are log-odds of these labels, in the same order."""
    parameters = (model.user_factors, model.item_factors, model.item_bias, model.intercept)
    score = factorization.pair_scores(*parameters, asked.user, asked.item).astype(np.float64)
    scale, offset = fit_link(score, asked.label, asked.weight)
    return replace(
        model,
        user_factors=(scale * model.user_factors).astype(np.float32),
        item_bias=(scale * model.item_bias).astype(np.float32),
        intercept=np.float32(scale * float(model.intercept) + offset),
    )


def fit_link(score: Floats, label: Floats, weight: Floats) -> tuple[float, float]:
    """Return scale (at least `LEAST_SCALE`) and offset of the log-odds with the least weighted log loss.

    Args:
        score: Shape (n,).
        label: Shape (n,), 0 or 1, both present.
        weight: Shape (n,), above 0.
    """
    middle, spread = float(np.average(score, weights=weight)), float(score.std())
    rate = float(np.average(label, weights=weight))
    base = float(np.log(rate / (1 - rate)))
    if spread < 1e-9 or not np.isfinite(spread):
        return LEAST_SCALE, base - LEAST_SCALE * middle
    columns = np.stack([(score - middle) / spread, np.ones(len(score))], axis=1)
    ridge = np.array([RIDGE, 0.0])
    now = np.array([0.0, base])
    loss = _loss(columns @ now, label, weight)
    for _ in range(MOST_STEPS):
        probability = 1 / (1 + np.exp(-columns @ now))
        slope = columns.T @ (weight * (probability - label)) + ridge * now
        bend = (columns * (weight * probability * (1 - probability))[:, None]).T @ columns + np.diag(ridge)
        step, before = np.linalg.solve(bend, slope), loss
        while True:  # half as far, until it is no worse
            tried = now - step
            loss = _loss(columns @ tried, label, weight) + 0.5 * float(ridge @ tried**2)
            if loss <= before or float(np.abs(step).max()) < 1e-10:
                break
            step /= 2
        now = tried
        if before - loss <= 1e-12 * abs(before):
            break
    scale = float(now[0]) / spread
    if scale < LEAST_SCALE:
        return LEAST_SCALE, base - LEAST_SCALE * middle
    return scale, float(now[1]) - scale * middle


def _loss(logit: Floats, label: Floats, weight: Floats) -> float:
    return float(weight @ (np.logaddexp(0.0, logit) - label * logit))
