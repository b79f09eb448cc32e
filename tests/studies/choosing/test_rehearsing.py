"""Rehearsals train every arm with its own settings."""

from scalr.evaluation.training import train
from scalr.foundation.config import Steps
from scalr.logs.simulation import simulate
from scalr.studies import arms
from scalr.studies.choosing.choice import Choice
from scalr.studies.choosing.rehearsing import rehearse

STEPS = Steps.parse({"split": {"hide_overlap": 0.4}, "train": {"max_epochs": 2, "popularity_prior": 0.0}})


def test_real_events_alone_are_rehearsed_with_the_settings_of_the_tuned_baseline(monkeypatch):
    baseline, ours = STEPS.changed({"train.l2": 0.4}), STEPS.changed({"train.l2": 0.03})
    used = []

    def spy(fold, synthetic, settings, *args, **kwargs):
        used.append((synthetic is None, settings.l2))
        return train(fold, synthetic, settings, *args, **kwargs)

    monkeypatch.setattr(arms, "train", spy)
    pair, counted = simulate(n_users=200, events_per_user=(20.0, 6.0), seed=1).pair, []
    choice = Choice(ours, {"real_only": baseline, "shuffled_users": baseline}, {})
    openings = rehearse(choice, pair, [0, 1], threads=2, advance=counted.append)
    assert set(openings) == {"near", "far"}
    assert sum(counted) == 12  # three arms, two seeds, two rehearsals
    assert used.count((True, 0.4)) == 8  # on two periods each
    assert used.count((False, 0.03)) == 16
    assert len(used) == 24
