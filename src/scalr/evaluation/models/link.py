"""Map scores to log-odds with a logistic regression on labelled pairs, fitted by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalr.foundation import Codes, Floats

PENALTY = 1.0  # inverse strength of the ridge penalty on standardised columns, the default of scikit-learn


@dataclass(frozen=True, slots=True, eq=False)
class LinkRows:
    """Labelled pairs to fit a link on.

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes.
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
    """

    user: Codes
    item: Codes
    label: Floats
    weight: Floats


def fit_log_odds(columns: Floats, label: Floats, weight: Floats) -> Floats:
    """Return the intercept and the slopes of the log-odds, shape (1 + k,), that minimise the penalised log loss.

    Args:
        columns: Shape (n, k), features; the penalty applies to the slopes of the standardised columns.
        label: Shape (n,), 0 or 1, both present.
        weight: Shape (n,), above 0.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    middle, spread = columns.mean(0), columns.std(0)
    spread[spread < 1e-9] = 1.0
    with threadpool_limits(1):
        model = LogisticRegression(C=PENALTY, max_iter=200).fit(
            (columns - middle) / spread, label, sample_weight=weight
        )
    slopes = model.coef_[0] / spread
    return np.concatenate([model.intercept_ - slopes @ middle, slopes])
