"""Neural networks of torch-rechub, trained by one loop of ours; torch is imported when a network is asked for."""

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
HISTORY = 20  # items of a user that a sequence network looks at


@dataclass(frozen=True, slots=True)
class Network:
    """A network, and how it is fitted; it is the recipe of its model.

    Attributes:
        name: Name of the model.
        title: What it is, in a few words.
        learning_rate: Its own step size.
        l2: Its own decay of embeddings.
        ranks_pairwise: Whether it ranks by scoring pair after pair.
        reads_history: Whether it reads what a user did before.
        losses: What it can be trained by (`train.loss`), its own first.
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
        """Fit to rows in memory.

        Args:
            examples: Rows to learn from.
            settings: Objective, dimensions, step size, decay, negatives, batches, device.
            seed: Any integer.
            checkpoint: Folder in which every epoch is kept. A training that was cut off hands out again what it kept
                there, and goes on: the models are those of a training that was not.

        Raises:
            MissingExtraError: If torch-rechub is not installed.
            ConfigError: If the folder has epochs of another training, or the network has not the loss asked for.
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

    Users, items and their parameters must fit; rows come portion by portion. Networks that read histories take rows in
    memory only.

    Args:
        name: Of the network.
        sources: Real rows first, then those that are mixed in; see `streamed.StreamedRows`.
        world: Users and items.
        settings: See `Network`; defaults if None.
        seed: Any integer; that of the sources.
        checkpoint: See `Network`.

    Raises:
        MissingExtraError: If torch-rechub is not installed.
        ConfigError: If the network reads histories, has not the loss asked for, or the folder has epochs of another
            training.
    """
    network = NETWORKS[name]
    if network.reads_history:
        raise ConfigError(
            f"model '{name}' reads what users did before, which a stream of rows does not tell",
            expected=f"one of {', '.join(one.name for one in NETWORKS.values() if not one.reads_history)}",
            fix="take one of these, or train on rows in memory (scalr.train)",
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
        if not held_back.count(0) or not sources[0].count(0):  # too few rows to share
            held_back, sources = whole, (whole, *sources[1:])
    learner = Learner.begin(network.name, entities, _prior(sources, entities, settings), settings, rates, seed, sources)
    asked, kept = (network.name, settings, seed), None
    if checkpoint is not None:
        kept = EpochCheckpoints.at(checkpoint, asked, sources)
    elif settings.checkpoints is not None:
        kept = EpochCheckpoints.within(Path(settings.checkpoints), asked, sources)
    return learner.epochs(sources, settings.batch_size, kept, held_back)


def check_loss(name: str, loss: str | None, losses: tuple[str, ...]) -> None:
    """Refuse a loss that a model is not trained by.

    Args:
        name: Of the model.
        loss: What was asked for; None for the model's own.
        losses: What it can be trained by.

    Raises:
        ConfigError: If `loss` is not among them.
    """
    if loss is None or loss in losses:
        return
    raise ConfigError(
        f"model '{name}' cannot be trained by loss '{loss}'",
        expected=f"{' or '.join(losses)}, or null for the model's own" if losses else "null, for the model's own",
        fix="leave train.loss out, or take model two_tower for in_batch",
    )


def _prior(sources: tuple[RowSource, ...], entities: Entities, settings: TrainSettings) -> Singles:
    """Return what the log-odds of items begin with, by head, shape (2, n_items).

    What is popular among synthetic rows is theirs alone and does not drift, so their head begins with all of it. Left
    to the biases, which move slowly, it would be learnt by the shared embeddings meanwhile.
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
