"""Sampled softmax: the other rows' items of a batch are a row's negatives. Imported on use: it needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from scalr.evaluation.models.deep.rows import RowSource


@dataclass(frozen=True, slots=True, eq=False)
class InBatch:
    """The loss of telling a row's item from those of its batch.

    An item is in a batch as often as the stream of rows brings it, so without more ado popular items would be pushed
    down as often as they are pulled up, and scores would not know popularity. The log of the item's share of the stream
    is therefore taken off its logit (logQ): then scores become log P(item | user) plus a constant of the user.

    Attributes:
        log_share: Shape (n_items,), log of the share of each item among the rows of an epoch, in expectation.

    References:
        Yi et al. 2019, Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, sec. 3.
    """

    log_share: torch.Tensor

    @classmethod
    def from_sources(cls, sources: tuple[RowSource, ...], n_items: int, device: torch.device) -> Self:
        """Count the mixed stream: real rows once, synthetic ones with the probability by which an epoch has them."""
        times = np.sum([source.appearances(n_items) for source in sources], axis=0)
        known = times > 0
        share = np.log(times, where=known, out=np.zeros(n_items)) - np.log(max(float(times.sum()), 1.0))
        return cls(torch.from_numpy(np.where(known, share, 0.0).astype(np.float32)).to(device))

    def log_probabilities(
        self, logit: torch.Tensor, item: torch.Tensor, kind: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the log of each candidate's probability of being the row's item, shape (n, n).

        Candidates that are the row's own item by accident, and those of another kind, are none.

        Args:
            logit: Shape (n, n), of row by candidate; the row's own item is on the diagonal.
            item: Shape (n,), codes of the candidates.
            kind: Shape (n,), which rows and candidates have a catalogue of their own; None where all share one.
        """
        excluded = item[:, None] == item[None, :]
        if kind is not None:
            excluded |= kind[:, None] != kind[None, :]
        excluded.fill_diagonal_(False)
        corrected = (logit - self.log_share[item]).masked_fill(excluded, -torch.inf)
        return torch.log_softmax(corrected, dim=1)
