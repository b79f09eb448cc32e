"""Knowledge distillation: a teacher trained on both domains labels pairs for a student of the target domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from scalr.evaluation.cross_domain.domains import shared_users
from scalr.evaluation.cross_domain.protocol import Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.kernels.factorization import Parameters, run_soft_epoch, shuffled
from scalr.evaluation.models import Model
from scalr.evaluation.models.mf import fit_factorization, rates
from scalr.evaluation.training import examples_of, interactions
from scalr.foundation import TrainSettings, combine_keys, rng


@dataclass(frozen=True, slots=True)
class Distillation:
    """The reference model, trained on real events and on soft labels of a teacher.

    The teacher is a collective factorisation of both domains, trained for `passes` epochs before the student starts;
    `source` is the weight of its source loss. After each epoch of the student, the teacher labels target items for
    users with source events. Users are sampled in proportion to their source interactions. There are as many rows as
    real rows, or as source interactions if these are fewer. A row has an item drawn by popularity and `negatives`
    uniform items. `weight` is the weight of each row.

    References:
        Hinton, Vinyals, Dean 2015, Distilling the knowledge in a neural network.
    """

    strengths: tuple[Strength, ...] = tuple(
        {"weight": weight, "source": source, "passes": passes}
        for weight, source, passes in (
            (1.0, 1.0, 12),
            (3.0, 1.0, 12),
            (0.3, 1.0, 12),
            (3.0, 1.0, 30),
            (1.0, 0.3, 12),
            (0.1, 1.0, 12),
        )
    )
    reads_source: bool = False

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; see `Rival`."""
        examples = examples_of(fold, None, settings, seed)
        pupils, popular, catalogue = interactions(fold.pair.source)[0], examples.item, examples.catalogue
        teachers = shared_users(
            fold,
            settings.model_copy(update={"objective": "auxiliary", "synthetic_penalty": 1.0}),
            seed,
            strength["source"],
        )
        *_, teacher = islice(teachers, int(strength["passes"]))
        learning_rate, penalty = rates(settings)
        stream, slots = rng.stream(seed, rng.Purpose.RIVAL), settings.negatives + 1

        def lesson(student: Parameters, epoch: int) -> None:
            key = combine_keys(np.array([stream]), np.array([epoch], np.uint64))[0]
            user = pupils[shuffled(len(pupils), key)[: len(examples)]]
            rows = np.arange(len(user) * slots, dtype=np.uint64)
            chance = rng.keyed_units(seed, rng.Purpose.RIVAL, rows, np.full(len(rows), key)).reshape(-1, slots)
            item = catalogue[(chance * len(catalogue)).astype(np.int64)]
            item[:, 0] = popular[(chance[:, 0] * len(popular)).astype(np.int64)]
            label = teacher.score(np.repeat(user, slots), item.ravel()).astype(np.float32).reshape(-1, slots)
            l2 = penalty * settings.synthetic_penalty
            run_soft_epoch(student, user, item, label, strength["weight"], learning_rate, l2)

        return fit_factorization(examples, settings, seed, lesson=lesson)
