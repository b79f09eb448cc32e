"""Gradient steps: plain SGD for parameters of users and items, Adam for all others. Imported on use: needs torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from scalr.evaluation.models.deep.entities import Entities
from scalr.foundation import Codes, Singles

LAYERS = 0.003  # Adam's step size as a share of the step size
LARGEST_STEP = (
    2.5  # upper bound on a user's or item's step per batch, in mean gradients of its rows: prevents overshooting
)


Pulls = tuple[Codes, Singles]
"""Codes and weights, shape (n,) each."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimiser:
    """Updates of all parameters.

    Embeddings and biases of users and items take plain gradient steps, summed over their rows, as in the reference
    model, so users and items with few rows move little. Adam would move all of them equally, and rare items would
    contribute noise at full scale.

    Attributes:
        of_users: Tables with a row per user.
        of_items: Tables with a row per item; a table with one more row starts with padding.
        layers: Adam, for all other parameters.
        rate: Step size per row of the log.
        l2: Decay of these tables per epoch, in units of `rate`.
        entities: Users and items.
    """

    of_users: tuple[nn.Parameter, ...]
    of_items: tuple[nn.Parameter, ...]
    layers: torch.optim.Optimizer
    rate: float
    l2: float
    entities: Entities

    @classmethod
    def from_modules(cls, modules: list[nn.Module], entities: Entities, rate: float, l2: float) -> Optimiser:
        """Identify the tables of users and items by their names in the networks; see `networks`."""
        users: dict[int, nn.Parameter] = {}
        items: dict[int, nn.Parameter] = {}
        every = [one for module in modules for one in module.named_parameters()]
        for name, parameter in every:
            table = name.split(".")[-2] if name.endswith(".weight") else ""
            if table.removeprefix("wide_") == "user":
                users[id(parameter)] = parameter
            elif table.removeprefix("wide_") in ("item", "seq", "real_bias", "synthetic_bias"):
                items[id(parameter)] = parameter
        others = [parameter for _, parameter in every if id(parameter) not in users | items]
        layers = torch.optim.Adam(others, lr=LAYERS * rate, fused=True)
        return cls(tuple(users.values()), tuple(items.values()), layers, rate, l2, entities)

    def begin(self) -> None:
        """Clear the gradients of the previous step."""
        self.layers.zero_grad()
        for table in (*self.of_users, *self.of_items):
            table.grad = None

    @torch.no_grad()
    def take(self, users: Pulls, items: Pulls, size: float, share: float) -> None:
        """Update all parameters once.

        Args:
            users: Codes of the users in the batch, and weights of their rows.
            items: Like `users`, for items.
            size: Divisor of the loss.
            share: Share of the epoch that the batch covers, in (0, 1].
        """
        self.layers.step()
        for tables, (codes, weight), n in (
            (self.of_users, users, self.entities.n_users),
            (self.of_items, items, self.entities.n_items),
        ):
            held_back = self._held_back(codes, weight, n)
            for table in tables:
                if table.grad is None:
                    continue
                if held_back is not None:
                    padding = len(table) - n
                    table.grad[padding:] *= torch.from_numpy(held_back)[:, None].to(table.device)
                table.mul_(1 - min(self.rate * self.l2 * share, 1.0)).add_(table.grad, alpha=-self.rate * size)

    def _held_back(self, codes: Codes, weight: Singles, n: int) -> Singles | None:
        """Return the factor on each row's step, shape (n,); None if all factors are 1."""
        step = self.rate * np.bincount(codes, weight, n)
        if step.max(initial=0.0) <= LARGEST_STEP:
            return None
        factor: Singles = (LARGEST_STEP / np.maximum(step, LARGEST_STEP)).astype(np.float32)
        return factor
