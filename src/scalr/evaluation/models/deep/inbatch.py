"""Sampled softmax: items of the other rows in a batch are a row's negatives. Imported on use: it needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from scalr.evaluation.models.deep.rows import RowSource


@dataclass(frozen=True, slots=True, eq=False)
class InBatch:
    """The softmax loss of a row's item against the other items of its batch.

    Batches contain items in proportion to their share of the stream of rows. Without a correction, popular items would
    therefore be negatives as often as positives, and scores would not reflect popularity. The correction subtracts the
    log of the item's share from its logit (logQ). Scores then estimate log P(item | user) plus a constant per user.

    Attributes:
        log_share: Shape (n_items,), log of each item's expected share of the rows of an epoch.

    References:
        Yi et al. 2019, Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, sec. 3.
    """

    log_share: torch.Tensor

    @classmethod
    def from_sources(cls, sources: tuple[RowSource, ...], n_items: int, device: torch.device) -> Self:
        """Count the mixed stream: real rows once, synthetic rows by the probability that an epoch includes them."""
        times = np.sum([source.appearances(n_items) for source in sources], axis=0)
        known = times > 0
        share = np.log(times, where=known, out=np.zeros(n_items)) - np.log(max(float(times.sum()), 1.0))
        return cls(torch.from_numpy(np.where(known, share, 0.0).astype(np.float32)).to(device))

    def log_probabilities(
        self, logit: torch.Tensor, item: torch.Tensor, kind: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log-probability that a candidate is the row's item, shape (n, n).

        Other candidates with the row's item, and candidates of another kind, are excluded.

        Args:
            logit: Shape (n, n), row by candidate; the row's item is on the diagonal.
            item: Shape (n,), codes of the candidates.
            kind: Shape (n,), marks rows and candidates of a separate catalogue; None if all share one catalogue.
        """
        excluded = item[:, None] == item[None, :]
        if kind is not None:
            excluded |= kind[:, None] != kind[None, :]
        excluded.fill_diagonal_(False)
        corrected = (logit - self.log_share[item]).masked_fill(excluded, -torch.inf)
        return torch.log_softmax(corrected, dim=1)
