"""Fitted networks, which predict and never change. Imported on use: it needs torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from scalr.evaluation.models.deep.entities import Entities
from scalr.evaluation.models.deep.networks import Towers
from scalr.evaluation.models.mf import Factorization
from scalr.evaluation.models.protocol import Model
from scalr.foundation import Codes, Floats, Singles

BLOCK = (
    4096  # pairs per forward pass; smaller blocks are padded, so a pair's score does not depend on the number of pairs
)


@dataclass(frozen=True, slots=True, eq=False)
class PairwiseModel:
    """A network that scores each (user, item) pair separately.

    Attributes:
        network: The network, in evaluation mode.
        offset: Shape (n_items,), added to the network's logits: prior and intercept of the real head.
        fitted_until: Latest time of the training events; None without time.
        fitted_on: Digest of the target log that the network was trained on.
        device: Device of the network.
    """

    network: nn.Module
    offset: Singles
    fitted_until: int | None
    fitted_on: int | None
    device: torch.device

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        logits = self._logits(user, item).astype(np.float64)
        small: Floats = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1.0, small) / (1.0 + small)

    def rank_scores(self, users: Codes) -> Singles:
        """Return logits, shape (n_users, all items)."""
        n_items = len(self.offset)
        items = np.arange(n_items, dtype=np.int32)
        return np.stack([self._logits(np.full(n_items, one, np.int32), items) for one in users]).reshape(-1, n_items)

    @torch.inference_mode()
    def _logits(self, user: Codes, item: Codes) -> Singles:
        logits = np.empty(len(user), np.float32)
        for start in range(0, len(user), BLOCK):
            part = slice(start, start + BLOCK)
            users, items = (_filled(codes[part], self.device) for codes in (user, item))
            found = self.network(users, items[:, None]).reshape(-1).cpu().numpy()
            logits[part] = found[: len(user[part])]
        logits += self.offset[item]
        return logits


def handed_out(network: nn.Module, offset: Singles, entities: Entities, device: torch.device) -> Model:
    """Return the model of a network whose parameters no longer change.

    Args:
        network: The network, in evaluation mode.
        offset: Shape (n_items,), added to the network's logits.
        entities: Users and items.
        device: Device of the network.
    """
    if not isinstance(network, Towers):
        return PairwiseModel(network, offset, entities.fitted_until, entities.fitted_on, device)
    users, items = _user_vectors(network, entities, device), _item_vectors(network, entities, device)
    return Factorization(users, items, offset, np.float32(0.0), entities.fitted_until, entities.fitted_on)


@torch.inference_mode()
def _user_vectors(network: Towers, entities: Entities, device: torch.device) -> Singles:
    found = []
    for start in range(0, entities.n_users, BLOCK):
        users = np.arange(start, min(start + BLOCK, entities.n_users), dtype=np.int64)
        history = None if entities.histories is None else torch.from_numpy(entities.histories.latest(users)).to(device)
        found.append(network.user_vectors(torch.from_numpy(users).to(device), history).cpu().numpy())
    return np.ascontiguousarray(np.concatenate(found))


@torch.inference_mode()
def _item_vectors(network: Towers, entities: Entities, device: torch.device) -> Singles:
    blocks = torch.arange(entities.n_items, device=device).split(BLOCK)
    return np.ascontiguousarray(np.concatenate([network.item_vectors(items).cpu().numpy() for items in blocks]))


def _filled(codes: Codes, device: torch.device) -> torch.Tensor:
    """Return the codes, padded with zeros to a whole block."""
    full = np.zeros(BLOCK, np.int64)
    full[: len(codes)] = codes
    return torch.from_numpy(full).to(device)
