"""The training loop of all networks: weighted loss, mixed rows, one step per batch. Imported on use: it needs torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from scalr import rng
from scalr.config import TrainSettings
from scalr.models.deep.checkpoints import Kept, State
from scalr.models.deep.fitted import handed_out
from scalr.models.deep.networks import build
from scalr.models.deep.rows import Negatives, Rows, RowSource, batches
from scalr.models.deep.steps import Steps
from scalr.models.deep.world import World
from scalr.models.prior import REAL, SYNTHETIC, Singles
from scalr.models.protocol import Model

LEAST_STEPS, LEAST_BATCH = 25, 32  # a pass over few rows takes smaller batches, else it would hardly move


class Heads(nn.Module):
    """What stands between a network's logit and the labels, for real and for synthetic rows.

    A real row's logit is m + c + prior[item] + bias[item], m being the network's; a synthetic row's has a scale, an
    intercept, a prior and biases of its own: exp(a) · m + c' + prior'[item] + bias'[item]. Prediction has the first
    head only, so what synthetic rows know about their own rate and their own popular items stays away from it.
    """

    def __init__(self, prior: Singles, negatives: int) -> None:
        super().__init__()
        self.intercept = nn.Parameter(torch.full((2,), -float(np.log(negatives))))
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.real_bias, self.synthetic_bias = (
            nn.Embedding.from_pretrained(torch.zeros(prior.shape[1], 1), freeze=False) for _ in range(2)
        )
        self.register_buffer("prior", torch.from_numpy(prior), persistent=False)

    def forward(self, logit: torch.Tensor, item: torch.Tensor, synthetic: torch.Tensor | None) -> torch.Tensor:
        """Return logits (n, k) by head; `synthetic`, shape (n,), says which rows have the second."""
        real = logit + self.intercept[REAL] + self.prior[REAL][item] + self.real_bias(item).squeeze(2)
        if synthetic is None:
            return real
        other = self.log_scale.exp() * logit + self.intercept[SYNTHETIC] + self.prior[SYNTHETIC][item]
        return torch.where(synthetic[:, None], other + self.synthetic_bias(item).squeeze(2), real)


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A network while it learns; its parameters change with every step."""

    network: nn.Module
    heads: Heads
    steps: Steps
    world: World
    negatives: Negatives
    auxiliary: bool
    device: torch.device

    @classmethod
    def begin(
        cls, name: str, world: World, prior: Singles, settings: TrainSettings, rates: tuple[float, float], seed: int
    ) -> Learner:
        """Start from parameters that depend on the seed alone; see `scalr.models.deep.fit_rows`."""
        # torch-rechub's SASRec makes tensors on the CPU while it computes, so a history keeps it there.
        device = device_of(settings) if world.histories is None else torch.device("cpu")
        first = int(rng.stream(seed, rng.Purpose.FIRST_PARAMETERS) >> np.uint64(1))
        network = build(name, world, settings.dimensions, first).to(device)
        heads = Heads(prior, settings.negatives).to(device)
        other = world.catalogue if world.synthetic_catalogue is None else world.synthetic_catalogue
        negatives = Negatives(seed, settings.negatives, world.catalogue, other)
        steps = Steps.of([network, heads], world, *rates)
        return cls(network, heads, steps, world, negatives, settings.objective == "auxiliary", device)

    def passes(self, sources: tuple[RowSource, ...], batch_size: int, kept: Kept | None = None) -> Iterator[Model]:
        """Go through the rows again and again; yield the model after each pass.

        Args:
            sources: The fold's own real rows first.
            batch_size: Most positives per step.
            kept: Where passes are kept; those that are there are not gone through again.
        """
        size = min(batch_size, max(LEAST_BATCH, sources[0].count(0) // LEAST_STEPS))
        epoch = 0
        while True:
            known = None if kept is None else kept.load(epoch)
            if known is not None:
                self._restore(known)
            else:
                self.network.train()
                n_batches, pass_ = batches(sources, epoch, size)
                for rows in pass_:
                    self.step(rows, epoch, 1 / n_batches)
                if kept is not None:
                    kept.save(epoch, self._state())
            epoch += 1
            yield self.model()

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "heads": self.heads, "layers": self.steps.layers}

    def _state(self) -> State:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def _restore(self, state: State) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def step(self, rows: Rows, epoch: int, share: float) -> None:
        """Take one gradient step."""
        items = self.negatives.items(rows, epoch)
        item = self._put(items.astype(np.int64))
        weight = self._put(rows.weight)
        history = None
        if self.world.histories is not None:
            history = self._put(self.world.histories.ahead_of(rows.number, rows.user))
        synthetic = self._put(rows.is_synthetic) if self.auxiliary and rows.is_synthetic.any() else None
        logit = self.heads(self.network(self._put(rows.user.astype(np.int64)), item, history), item, synthetic)
        loss = functional.softplus(-logit[:, 0]) + functional.softplus(logit[:, 1:]).sum(dim=1)
        self.steps.begin()
        size = float(rows.weight.sum(dtype=np.float64)) * logit.shape[1]
        ((weight * loss).sum() / size).backward()
        self.steps.take(rows, items, size, share)

    def model(self) -> Model:
        """Return what has been learnt so far, a copy."""
        network = copy.deepcopy(self.network).eval()
        with torch.no_grad():
            offset = (
                (self.heads.prior[REAL] + self.heads.real_bias.weight[:, 0] + self.heads.intercept[REAL])
                .cpu()
                .numpy()
                .copy()
            )
        return handed_out(network, offset, self.world, self.device)

    def _put(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


def device_of(settings: TrainSettings) -> torch.device:
    """Return where the network learns."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)
