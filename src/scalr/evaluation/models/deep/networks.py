"""Networks of torch-rechub with a common interface: logits of candidate items. Imported on use: it needs torch.

The networks end in a sigmoid. Its inverse recovers the logit, with sufficient precision within ±`LARGEST_LOGIT`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import DSSM, SASRec
from torch_rechub.models.ranking import DCNv2, DeepFM, WideDeep

from scalr.evaluation.models.deep.entities import Entities

LARGEST_LOGIT = 13.8  # single precision still separates the probability from 0 and 1
HISTORY = 20  # latest items that `sasrec` reads
WIDTHS = (5, 10, HISTORY)  # histories are batched by length, up to these numbers of items
SEQUENCE_SCALE = 0.3  # of user vectors; normalisation gives them the norm of a vector of ones
TOWER = "prelu"
FIRST_SCALE = 2.0  # initial factor on the cosine of two towers, which is within ±1

Inputs = dict[str, torch.Tensor]


class ItemLookup(nn.Module):
    """Looks up the code of an item and its fields in the item table."""

    def __init__(self, entities: Entities) -> None:
        super().__init__()
        self.register_buffer("fields", torch.empty(entities.fields.shape, dtype=torch.int64), persistent=False)

    def forward(self, item: torch.Tensor) -> Inputs:
        """Return network inputs by name for items of shape (n,)."""
        known = self.fields[item]
        return {"item": item, **{f"field{x}": known[:, x] for x in range(known.shape[1])}}


def item_descriptions(entities: Entities, dimensions: int) -> list[Any]:
    """Return the feature descriptions of item code and fields."""
    fields = [SparseFeature(f"field{x}", size, dimensions) for x, size in enumerate(entities.sizes)]
    return [SparseFeature("item", entities.n_items, dimensions), *fields]


class Pairwise(nn.Module):
    """A network that combines user and item in its first layer, so it scores each pair separately."""

    def __init__(self, entities: Entities, network: nn.Module, doubled: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.network, self.table, self.doubled = network, ItemLookup(entities), doubled

    def forward(self, user: torch.Tensor, item: torch.Tensor, history: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits of items (n, k) for users (n,), shape (n, k)."""
        inputs = {"user": user.repeat_interleave(item.shape[1]), **self.table(item.reshape(-1))}
        inputs |= {f"wide_{name}": inputs[name] for name in self.doubled}
        probability: torch.Tensor = self.network(inputs)
        return torch.logit(probability, 1 / (1 + math.exp(LARGEST_LOGIT))).reshape(item.shape)


class Towers(nn.Module, ABC):
    """A network whose score is the dot product of a user vector and an item vector."""

    @abstractmethod
    def user_vectors(self, user: torch.Tensor, history: torch.Tensor | None) -> torch.Tensor:
        """Return user vectors, shape (n, d)."""

    @abstractmethod
    def item_vectors(self, item: torch.Tensor) -> torch.Tensor:
        """Return item vectors, shape (n, d)."""

    def forward(self, user: torch.Tensor, item: torch.Tensor, history: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits of items (n, k) for users (n,), shape (n, k)."""
        items = self.item_vectors(item.reshape(-1)).reshape(*item.shape, -1)
        of_user = self.user_vectors(user, history)
        return (items @ of_user.unsqueeze(2)).squeeze(2)


class TwoTower(Towers):
    """DSSM: the scaled cosine of a user tower and an item tower."""

    def __init__(self, entities: Entities, dimensions: int) -> None:
        super().__init__()
        tower = {"dims": [2 * dimensions, dimensions], "activation": TOWER}
        self.user = [SparseFeature("user", entities.n_users, dimensions)]
        self.network = DSSM(self.user, item_descriptions(entities, dimensions), tower, tower)
        self.table, self.log_scale = ItemLookup(entities), nn.Parameter(torch.empty(1))

    def user_vectors(self, user: torch.Tensor, history: torch.Tensor | None) -> torch.Tensor:
        """Return user vectors, shape (n, d)."""
        return self.network.user_tower({"user": user}) * (FIRST_SCALE * self.log_scale.exp())

    def item_vectors(self, item: torch.Tensor) -> torch.Tensor:
        """Return item vectors, shape (n, d)."""
        return self.network.item_tower(self.table(item))


class Sequence(Towers):
    """SASRec: self-attention over the user's latest items, multiplied with item embeddings."""

    def __init__(self, entities: Entities, dimensions: int) -> None:
        super().__init__()
        feature = SequenceFeature("seq", entities.n_items + 1, max(dimensions, 2), pooling="concat")
        # Dropout would draw from torch's global generator, which parallel trainings share.
        self.network = SASRec([feature], max_len=HISTORY, dropout_rate=0.0, num_blocks=1, num_heads=1)

    def user_vectors(self, user: torch.Tensor, history: torch.Tensor | None) -> torch.Tensor:
        """Return user vectors, shape (n, d)."""
        assert history is not None
        # Attention is causal, so padding after a history has no effect: short histories are cut to short rows.
        width = torch.bucketize((history != 0).sum(dim=1), torch.tensor(WIDTHS))
        rows = [torch.nonzero(width == x).squeeze(1) for x in range(len(WIDTHS))]
        vectors = torch.cat([self._attend(history[one, :most]) for one, most in zip(rows, WIDTHS, strict=True)])
        return vectors[torch.argsort(torch.cat(rows))] * (SEQUENCE_SCALE * vectors.shape[1] ** -0.5)

    def _attend(self, history: torch.Tensor) -> torch.Tensor:
        """Return user vectors of histories, shape (n, d)."""
        # torch-rechub does not support batches of no row or a single row.
        several = torch.cat([history, history.new_zeros(2, history.shape[1])]) if len(history) < 2 else history
        return self.network.user_tower({"seq": several}).squeeze(1)[: len(history)]

    def item_vectors(self, item: torch.Tensor) -> torch.Tensor:
        """Return item vectors, shape (n, d)."""
        return self.network.item_emb.embed_dict["seq"](item + 1)


def _mixer(dimensions: int) -> dict[str, Any]:
    return {"dims": [4 * dimensions, 2 * dimensions], "activation": "relu"}


def _features(entities: Entities, dimensions: int) -> list[Any]:
    return [SparseFeature("user", entities.n_users, dimensions), *item_descriptions(entities, dimensions)]


def _wide_deep(entities: Entities, dimensions: int) -> nn.Module:
    deep = _features(entities, dimensions)
    wide = [SparseFeature(f"wide_{one.name}", one.vocab_size, 1) for one in deep]
    return Pairwise(entities, WideDeep(wide, deep, _mixer(dimensions)), tuple(one.name for one in deep))


def _deepfm(entities: Entities, dimensions: int) -> nn.Module:
    features = _features(entities, dimensions)
    return Pairwise(entities, DeepFM(features, features, _mixer(dimensions)))


def _dcn_v2(entities: Entities, dimensions: int) -> nn.Module:
    features = _features(entities, dimensions)
    return Pairwise(entities, DCNv2(features, 2, _mixer(dimensions), use_low_rank_mixture=False))


NETWORKS: dict[str, Callable[[Entities, int], nn.Module]] = {
    "two_tower": TwoTower,
    "wide_deep": _wide_deep,
    "deepfm": _deepfm,
    "dcn_v2": _dcn_v2,
    "sasrec": Sequence,
}


def build(name: str, entities: Entities, dimensions: int, seed: int) -> nn.Module:
    """Return a network whose initial parameters depend on the seed and the shapes alone.

    The function does not use torch's global generator, so threads may train at the same time. It builds the modules
    without memory and fills them from a separate generator.

    Args:
        name: Name of the network.
        entities: Users and items.
        dimensions: Length of the embeddings; layers are 1, 2 or 4 times as wide.
        seed: Seed of the initial parameters, below 2**63.
    """
    with torch.device("meta"):
        network = without_batch_norm(NETWORKS[name](entities, dimensions))
    network.to_empty(device="cpu")
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        fill(module, random)
        if isinstance(module, ItemLookup):
            module.fields = torch.from_numpy(entities.fields)
    return network


def without_batch_norm(network: nn.Module) -> nn.Module:
    """Return the network without batch normalisation, which the papers of these networks do not use either.

    Batch normalisation would rescale embeddings that decay keeps small, so users and items with few rows would
    contribute noise at full scale. Its statistics over real and synthetic rows together would fit neither kind.
    """
    for module in list(network.modules()):
        for name, inner in module.named_children():
            if isinstance(inner, nn.BatchNorm1d):
                setattr(module, name, nn.Identity())
    return network


SPREAD = 0.05  # standard deviation of initial embeddings, as in the reference model
BIAS = 0.1  # largest initial bias of a layer; without biases, vectors of users without rows have no direction


@torch.no_grad()
def fill(module: nn.Module, random: torch.Generator) -> None:
    """Initialise the parameters of a module, but not those of its submodules."""
    if isinstance(module, nn.Embedding):
        module.weight.normal_(0.0, SPREAD if module.embedding_dim > 1 else 0.0, generator=random)
    elif isinstance(module, nn.LayerNorm | nn.PReLU):
        module.reset_parameters()  # constants
    else:
        for parameter in module.parameters(recurse=False):
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=random)
            elif isinstance(module, nn.Linear):
                parameter.uniform_(-BIAS, BIAS, generator=random)
            else:
                parameter.zero_()
