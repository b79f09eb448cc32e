"""Neural networks of torch-rechub, trained by one loop of this package; torch is imported when a network is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scalr.evaluation.models.deep.entities import Entities
from scalr.evaluation.models.deep.histories import Histories
from scalr.evaluation.models.deep.rows import RowSource, rows_in_memory
from scalr.evaluation.models.prior import log_popularity
from scalr.evaluation.models.protocol import Examples, Model
from scalr.foundation import ConfigError, Singles, TrainSettings, require_extra

EXTRA = "torch"
HISTORY = 20  # latest items of a user that a sequence network reads


@dataclass(frozen=True, slots=True)
class Network:
    """A network and how it is fitted. Calling it fits the model.

    Attributes:
        name: Name of the model.
        title: Short description.
        learning_rate: Default step size.
        l2: Default decay of embeddings.
        ranks_pairwise: Whether ranking scores every (user, item) pair separately.
        reads_history: Whether the network reads a user's earlier items.
        losses: Supported values of `train.loss`, the default first.
    """

    name: str
    title: str
    learning_rate: float = 0.1
    l2: float = 1.0
    ranks_pairwise: bool = True
    reads_history: bool = False
    losses: tuple[str, ...] = ("binary",)

    def __call__(
        self, examples: Examples, settings: TrainSettings, seed: int, *, checkpoint: Path | None = None
    ) -> Iterator[Model]:
        """Fit to rows in memory; yield the model after each epoch, without end.

        Args:
            examples: Training rows.
            settings: Objective, dimensions, step size, decay, negatives, batches, device.
            seed: Any integer.
            checkpoint: Folder in which every epoch is stored. An interrupted training loads the stored epochs and
                continues; its models equal those of an uninterrupted training.

        Raises:
            MissingExtraError: If torch-rechub is not installed.
            ConfigError: If the folder has epochs of another training, or the network does not support the loss.
        """
        require_extra("torch_rechub", EXTRA)
        histories = Histories.from_examples(examples, HISTORY, seed) if self.reads_history else None
        return _epochs(
            self,
            rows_in_memory(examples, seed),
            Entities.from_examples(examples, histories),
            settings,
            seed,
            checkpoint,
        )


NETWORKS: dict[str, Network] = {
    one.name: one
    for one in (
        Network("two_tower", "user tower and item tower (DSSM)", ranks_pairwise=False, losses=("binary", "in_batch")),
        Network("wide_deep", "wide and deep network"),
        Network("deepfm", "factorisation machine and deep network (DeepFM)"),
        Network("dcn_v2", "cross network and deep network (DCN v2)"),
        Network("sasrec", "self-attention over the latest items (SASRec)", ranks_pairwise=False, reads_history=True),
    )
}


def fit_rows(
    name: str,
    sources: tuple[RowSource, ...],
    world: Entities,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    checkpoint: Path | None = None,
) -> Iterator[Model]:
    """Fit a network to rows that need not fit in memory; yield the model after each epoch, without end.

    Users, items and their parameters must fit in memory; rows are read portion by portion. Networks that read
    histories accept rows in memory only.

    Args:
        name: Name of the network.
        sources: Real rows first, then the rows that are mixed in; see `streamed.StreamedRows`.
        world: Users and items.
        settings: See `Network`; defaults if None.
        seed: Any integer; the seed of the sources.
        checkpoint: See `Network`.

    Raises:
        MissingExtraError: If torch-rechub is not installed.
        ConfigError: If the network reads histories or does not support the loss, or if the folder has epochs of
            another training.
    """
    network = NETWORKS[name]
    if network.reads_history:
        raise ConfigError(
            f"model '{name}' reads users' histories, which a stream of rows does not contain",
            expected=f"one of {', '.join(one.name for one in NETWORKS.values() if not one.reads_history)}",
            fix="use one of these, or train on rows in memory (scalr.train)",
        )
    require_extra("torch_rechub", EXTRA)
    return _epochs(network, sources, world, settings or TrainSettings(model=name), seed, checkpoint)


def _epochs(
    network: Network,
    sources: tuple[RowSource, ...],
    entities: Entities,
    settings: TrainSettings,
    seed: int,
    checkpoint: Path | None,
) -> Iterator[Model]:
    from scalr.evaluation.models.deep.checkpoints import EpochCheckpoints
    from scalr.evaluation.models.deep.learner import Learner
    from scalr.evaluation.models.deep.link import HELD_BACK

    check_loss(network.name, settings.loss, network.losses)
    rates = (
        network.learning_rate if settings.learning_rate is None else settings.learning_rate,
        network.l2 if settings.l2 is None else settings.l2,
    )
    held_back: RowSource | None = None
    if settings.loss == "in_batch":
        whole = sources[0]
        held_back, sources = whole.part(0.0, HELD_BACK), (whole.part(HELD_BACK, 1.0), *sources[1:])
        if not held_back.count(0) or not sources[0].count(0):  # too few rows to divide
            held_back, sources = whole, (whole, *sources[1:])
    learner = Learner.begin(network.name, entities, _prior(sources, entities, settings), settings, rates, seed, sources)
    asked, kept = (network.name, settings, seed), None
    if checkpoint is not None:
        kept = EpochCheckpoints.at(checkpoint, asked, sources)
    elif settings.checkpoints is not None:
        kept = EpochCheckpoints.within(Path(settings.checkpoints), asked, sources)
    return learner.epochs(sources, settings.batch_size, kept, held_back)


def check_loss(name: str, loss: str | None, losses: tuple[str, ...]) -> None:
    """Refuse a loss that a model does not support.

    Args:
        name: Name of the model.
        loss: The requested loss; None for the model's default.
        losses: Losses that the model supports.

    Raises:
        ConfigError: If `loss` is not among them.
    """
    if loss is None or loss in losses:
        return
    raise ConfigError(
        f"model '{name}' cannot be trained by loss '{loss}'",
        expected=f"{' or '.join(losses)}, or null for the model's default"
        if losses
        else "null, for the model's default",
        fix="remove train.loss, or use model two_tower for in_batch",
    )


def _prior(sources: tuple[RowSource, ...], entities: Entities, settings: TrainSettings) -> Singles:
    """Return the initial log-odds of items by head, shape (2, n_items).

    Popularity among synthetic rows does not drift, so their head starts with all of it. Biases move slowly: if they had
    to learn this popularity, the shared embeddings would absorb it first.
    """
    prior = np.zeros((2, entities.n_items), np.float32)
    strengths = settings.popularity_prior or 0.0, 1.0
    real, synthetic = (
        np.sum(sides, axis=0) for sides in zip(*(one.popularity(entities.n_items) for one in sources), strict=True)
    )
    if settings.objective != "auxiliary":
        real = real + synthetic
    for head, (strength, taken) in enumerate(zip(strengths, (real, synthetic), strict=True)):
        prior[head] = strength * log_popularity(taken, float(taken.sum()), len(entities.catalogue))
    return prior
