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
from torch.optim.swa_utils import AveragedModel

from scalr.evaluation.models.deep.checkpoints import EpochCheckpoints, State
from scalr.evaluation.models.deep.entities import Entities
from scalr.evaluation.models.deep.fitted import handed_out
from scalr.evaluation.models.deep.inbatch import InBatch
from scalr.evaluation.models.deep.link import link_rows_of, linked
from scalr.evaluation.models.deep.networks import Towers, build
from scalr.evaluation.models.deep.optimiser import Optimiser
from scalr.evaluation.models.deep.rows import RowSource, TrainingRows, UniformNegatives, batches
from scalr.evaluation.models.link import LinkRows
from scalr.evaluation.models.mf import Factorization
from scalr.evaluation.models.prior import REAL, SYNTHETIC
from scalr.evaluation.models.protocol import Model
from scalr.foundation import Singles, TrainSettings, rng

LEAST_STEPS, LEAST_BATCH = 25, 32  # few rows are divided into smaller batches, so that an epoch has enough steps
AVERAGES_PER_EPOCH = 10  # updates of the parameter average per epoch
FADING = 0.5 ** (1 / AVERAGES_PER_EPOCH)  # decay of the average per update: it halves in an epoch


class Heads(nn.Module):
    """Output heads that map a network's logit m to the logits of real and of synthetic rows.

    A real row has the logit m + c + prior[item] + bias[item]. A synthetic row has a separate scale, intercept, prior
    and bias: exp(a) · m + c' + prior'[item] + bias'[item]. Prediction uses the first head only, so the base rate and
    the item popularity of synthetic rows do not affect it.
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
        """Return logits (n, k) of items, (n, k) or (1, k); `synthetic`, shape (n,), marks rows of the second head."""
        real = logit + self.intercept[REAL] + self.prior[REAL][item] + self.real_bias(item).squeeze(2)
        if synthetic is None:
            return real
        other = self.log_scale.exp() * logit + self.intercept[SYNTHETIC] + self.prior[SYNTHETIC][item]
        return torch.where(synthetic[:, None], other + self.synthetic_bias(item).squeeze(2), real)


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A network in training; its parameters change with every step.

    Steps of constant size do not converge, so models use an average of the parameters, as the reference model does. The
    last epoch has half of the total weight (Polyak and Juditsky 1992, with exponential decay).
    """

    network: nn.Module
    heads: Heads
    averages: tuple[AveragedModel, AveragedModel]
    optimiser: Optimiser
    entities: Entities
    negatives: UniformNegatives
    auxiliary: bool
    device: torch.device
    in_batch: InBatch | None = None

    @classmethod
    def begin(
        cls,
        name: str,
        entities: Entities,
        prior: Singles,
        settings: TrainSettings,
        rates: tuple[float, float],
        seed: int,
        sources: tuple[RowSource, ...] = (),
    ) -> Learner:
        """Return a learner whose initial parameters depend on the seed alone; see `scalr.fit_rows`.

        The loss `in_batch` counts the rows of `sources`.
        """
        # torch-rechub's SASRec creates tensors on the CPU in its forward pass, so networks with histories stay there.
        device = device_of(settings) if entities.histories is None else torch.device("cpu")
        first = int(rng.stream(seed, rng.Purpose.FIRST_PARAMETERS) >> np.uint64(1))
        network = build(name, entities, settings.dimensions, first).to(device)
        heads = Heads(prior, settings.negatives).to(device)
        other = entities.catalogue if entities.synthetic_catalogue is None else entities.synthetic_catalogue
        negatives = UniformNegatives(seed, settings.negatives, entities.catalogue, other)
        optimiser = Optimiser.from_modules([network, heads], entities, *rates)
        in_batch = None
        if settings.loss == "in_batch":
            assert isinstance(network, Towers)
            in_batch = InBatch.from_sources(sources, entities.n_items, device)
            heads.intercept.requires_grad_(False)  # softmax does not depend on it; rounding errors would change it
        averages = AveragedModel(network, multi_avg_fn=_faded), AveragedModel(heads, multi_avg_fn=_faded)
        auxiliary = settings.objective == "auxiliary"
        return cls(network, heads, averages, optimiser, entities, negatives, auxiliary, device, in_batch)

    def epochs(
        self,
        sources: tuple[RowSource, ...],
        batch_size: int,
        kept: EpochCheckpoints | None = None,
        held_back: RowSource | None = None,
    ) -> Iterator[Model]:
        """Train epoch after epoch, without end; yield the model after each epoch.

        Args:
            sources: Sources of rows; the real rows of the fold are the first source.
            batch_size: Upper bound on positives per step.
            kept: Stored epochs, which are loaded instead of trained again; None stores nothing.
            held_back: Real rows for fitting the link to probabilities; None if scores are log-odds already.
        """
        size = min(batch_size, max(LEAST_BATCH, sources[0].count(0) // LEAST_STEPS))
        link_rows = None if held_back is None else link_rows_of(held_back, self.negatives)
        epoch = 0
        while True:
            known = None if kept is None else kept.load(epoch)
            if known is not None:
                self._restore(known)
            else:
                self.network.train()
                n_batches, epoch_batches = batches(sources, epoch, size)
                for place, rows in enumerate(epoch_batches):
                    self.step(rows, epoch, 1 / n_batches)
                    if is_averaged(place, n_batches):
                        self.remember()
                if kept is not None:
                    kept.save(epoch, self._state())
            epoch += 1
            yield self.model(link_rows)

    def _parts(self) -> dict[str, Any]:
        average_network, average_heads = self.averages
        return {
            "network": self.network,
            "heads": self.heads,
            "layers": self.optimiser.layers,
            "average_network": average_network,
            "average_heads": average_heads,
        }

    def _state(self) -> State:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def _restore(self, state: State) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def remember(self) -> None:
        """Update the average of the parameters."""
        for average, part in zip(self.averages, (self.network, self.heads), strict=True):
            average.update_parameters(part)

    def step(self, rows: TrainingRows, epoch: int, share: float) -> None:
        """Take one gradient step."""
        if self.in_batch is not None:
            self._step_in_batch(rows, self.in_batch, share)
            return
        items = self.negatives.items(rows, epoch)
        item = self._put(items.astype(np.int64))
        weight = self._put(rows.weight)
        history = None
        if self.entities.histories is not None:
            history = self._put(self.entities.histories.ahead_of(rows.number, rows.user))
        synthetic = self._put(rows.is_synthetic) if self.auxiliary and rows.is_synthetic.any() else None
        logit = self.heads(self.network(self._put(rows.user.astype(np.int64)), item, history), item, synthetic)
        loss = functional.softplus(-logit[:, 0]) + functional.softplus(logit[:, 1:]).sum(dim=1)
        self.optimiser.begin()
        size = float(rows.weight.sum(dtype=np.float64)) * logit.shape[1]
        ((weight * loss).sum() / size).backward()
        weights = np.repeat(rows.weight, items.shape[1])
        users = np.repeat(rows.user, items.shape[1])
        self.optimiser.take((users, weights), (items.reshape(-1), weights), size, share)

    def _step_in_batch(self, rows: TrainingRows, in_batch: InBatch, share: float) -> None:
        item, weight = self._put(rows.item.astype(np.int64)), self._put(rows.weight)
        synthetic = self._put(rows.is_synthetic) if rows.is_synthetic.any() else None
        apart = synthetic if self.negatives.synthetic is not self.negatives.real else None
        users = self.network.user_vectors(self._put(rows.user.astype(np.int64)), None)
        logit = users @ self.network.item_vectors(item).T
        logit = self.heads(logit, item[None, :], synthetic if self.auxiliary else None)
        found = in_batch.log_probabilities(logit, item, apart)
        self.optimiser.begin()
        size = float(rows.weight.sum(dtype=np.float64))
        (-(weight * found.diagonal()).sum() / size).backward()
        # A candidate is a negative of all rows, and on the diagonal a positive too; its weight is the sum of both.
        pushed = weight @ found.detach().exp()
        self.optimiser.take((rows.user, rows.weight), (rows.item, (weight + pushed).cpu().numpy()), size, share)

    def model(self, link_rows: LinkRows | None = None) -> Model:
        """Return a copy of the current model; `link_rows` turn its scores into log-odds."""
        network, heads = copy.deepcopy(self.averages[0].module).eval(), self.averages[1].module
        with torch.no_grad():
            offset = (heads.prior[REAL] + heads.real_bias.weight[:, 0] + heads.intercept[REAL]).cpu().numpy().copy()
        model = handed_out(network, offset, self.entities, self.device)
        return linked(model, link_rows) if link_rows is not None and isinstance(model, Factorization) else model

    def _put(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


def is_averaged(place: int, n_batches: int) -> bool:
    """Return whether the average is updated after batch `place` of an epoch; the last batch always updates it."""
    return AVERAGES_PER_EPOCH * (place + 1) // n_batches > AVERAGES_PER_EPOCH * place // n_batches


@torch.no_grad()
def _faded(average: list[torch.Tensor], now: list[torch.Tensor], times: torch.Tensor | int) -> None:
    """Move the average of `times` earlier parameters towards the current ones: first a plain mean, then with decay."""
    share = max(1 / (int(times) + 1), 1 - FADING)
    for one, other in zip(average, now, strict=True):
        one.lerp_(other, share)


def device_of(settings: TrainSettings) -> torch.device:
    """Return the device on which the network is trained."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)
