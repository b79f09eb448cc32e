"""What arms train on."""

import numpy as np
import pytest

from scalr.evaluation.folds import split
from scalr.foundation.config import Steps
from scalr.logs.simulation import simulate
from scalr.studies import controls
from scalr.studies.arms import Synthesis

STEPS = Steps.parse({"split": {"hide_overlap": 0.2}, "sample": {"draws_per_event": 4}})


@pytest.fixture(scope="module")
def synthesis():
    return Synthesis(
        split(simulate(n_users=200, n_source_items=30, n_target_items=24, seed=1).pair, STEPS.split).test, 0
    )


def real_pairs(synthesis, events):
    """Say for each event whether its user has its item in the visible target log."""
    target = synthesis.fold.pair.target
    real = set(zip(target.user.tolist(), target.item.tolist(), strict=True))
    return np.array([pair in real for pair in zip(events.user.tolist(), events.item.tolist(), strict=True)])


@pytest.mark.parametrize("arm", ["random_items", "popular_items", "shuffled_users"])
def test_controls_keep_no_pair_that_is_real(synthesis, arm):
    exchanged = getattr(controls, arm)(synthesis.scalr(STEPS), synthesis.seed)
    assert real_pairs(synthesis, exchanged).any()
    events, extra = synthesis.arm(arm, STEPS)
    assert extra is None
    assert len(events) == np.count_nonzero(~real_pairs(synthesis, exchanged))
    assert not real_pairs(synthesis, events).any()
