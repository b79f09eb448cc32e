"""What factors lose that are fitted on a sample of users, on worlds whose truth is low-rank: docs/translators.md."""

import pytest

import scalr

KEPT = {2: 0.95, 4: 0.9}  # of what the whole fit gains over popularity, in nats, by how many times fewer the pairs are


@pytest.mark.parametrize("translator", ["conditioned", "factor"])
def test_a_sample_knows_nearly_what_all_users_tell(translator):
    world = scalr.simulate(n_users=4000, n_source_items=400, n_target_items=200, seed=5)
    fold = scalr.split(world.pair, scalr.SplitSettings()).test
    n_pairs = int(fold.pair.source.positives().starts_interaction().sum())

    def gain(fit_pairs: int) -> float:
        settings = scalr.TranslateSettings(fit_pairs=fit_pairs, rank=16)
        found = scalr.translation_quality(fold, settings, translators=[translator, "popularity"], most_users=1000)
        return found[translator].segments["all"].mixed_gain.value

    whole = gain(n_pairs)
    assert whole > 0.1
    for times, least in KEPT.items():
        assert gain(n_pairs // times) > least * whole
