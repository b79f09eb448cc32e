"""What `auto` tries, round by round."""

import pytest

from scalr.evaluation.models import REFERENCE, get_model, model_names, settled
from scalr.foundation.config import Steps
from scalr.studies.choosing.rounds import OWN_TRAINING, for_a_control, model_rounds, weight_rounds

OTHERS = [name for name in model_names() if name != REFERENCE]


def start(name):
    steps = Steps().changed({"train.model": name, "train.popularity_prior": 0.0})
    return steps.model_copy(update={"train": settled(steps.train)})


def tried(rounds, steps):
    return {name for _, candidates in rounds for changes in candidates(steps) for name in changes}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("timed", [True, False])
def test_real_events_choose_every_setting_that_matters_to_a_model_and_no_other(name, timed):
    tuned = get_model(name).tuned
    expected = {f"train.{one}" for one in tuned if timed or one != "half_life"}
    assert tried(model_rounds(tuned, timed=timed), start(name)) == expected


@pytest.mark.parametrize("name", OTHERS)
def test_synthetic_events_choose_their_weights_and_what_of_the_training_matters(name):
    own = {"learning_rate", "popularity_prior"} & set(get_model(name).tuned)
    expected = {"train.synthetic_weight", "train.shrinkage", *(f"train.{one}" for one in own)}
    assert tried(weight_rounds(get_model(name).tuned), start(name)) == expected


@pytest.mark.parametrize("name", OTHERS)
def test_a_step_that_proves_too_large_twice_is_made_smaller_twice(name):
    steps = start(name)
    first = steps.train.learning_rate
    for _, candidates in model_rounds(get_model(name).tuned, timed=True):
        smaller = [
            one for one in candidates(steps) if one.get("train.learning_rate", first) < steps.train.learning_rate
        ]
        steps = steps.changed(smaller[0] if smaller else {})
    if "learning_rate" in get_model(name).tuned:
        assert steps.train.learning_rate < first / 9
    else:
        assert steps.train.learning_rate == first


def test_a_control_may_go_back_to_all_that_real_events_alone_chose():
    baseline = start("deepfm")
    ours = baseline.changed({f"train.{one}": 0.25 for one in OWN_TRAINING})
    back = for_a_control(ours, baseline.train)[-1]
    changed = ours.changed(back)
    assert changed.train == baseline.train


@pytest.mark.parametrize("name", OTHERS)
def test_what_synthetic_events_may_choose_a_control_may_undo(name):
    chosen = tried(weight_rounds(get_model(name).tuned), start(name)) - {"train.synthetic_weight"}
    assert chosen <= {f"train.{one}" for one in OWN_TRAINING}
