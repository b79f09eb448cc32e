"""Training networks: what is paired between arms, threads, checkpoints, streams, and what prediction leaves out."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.learning import folds, synthetic_for

from scalr.evaluation.models import deep
from scalr.evaluation.models.deep.entities import Entities, item_fields
from scalr.evaluation.models.deep.rows import rows_in_memory
from scalr.evaluation.models.deep.streamed import StreamedRows
from scalr.evaluation.models.features import Categories, ItemFeatures
from scalr.evaluation.training import examples_of, train
from scalr.foundation.config import TrainSettings
from scalr.foundation.errors import ConfigError, MissingExtraError, SchemaError

torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
pytest.importorskip("torch_rechub", reason="needs the extra 'torch'")

torch.set_num_threads(1)  # tests run beside each other, and spinning threads slow one another down
SETTINGS = TrainSettings(dimensions=4, batch_size=128, shrinkage=None)
NAMES = tuple(deep.NETWORKS)


@pytest.fixture(scope="module")
def fold():
    return folds().test


@pytest.fixture(scope="module")
def examples(fold):
    examples = examples_of(fold, synthetic_for(fold), SETTINGS)
    random, n_items = np.random.default_rng(0), len(examples.item_keys)
    numbers = random.random(n_items)
    numbers[:5] = np.nan
    groups = Categories(random.integers(0, 4, n_items).astype(np.int32), 4)
    return replace(examples, item_features=ItemFeatures({"group": groups}, {"price": numbers}))


def scores(model, examples):
    user = np.arange(len(examples.user_keys), dtype=np.int32)
    return model.rank_scores(user)


def passes(name, examples, n, settings=SETTINGS, seed=0, **others):
    return list(islice(deep.NETWORKS[name](examples, settings, seed, **others), n))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objective", ["auxiliary", "joint"])
def test_weight_zero_is_real_only_bit_for_bit(fold, name, objective):
    settings = SETTINGS.model_copy(update={"model": name, "objective": objective})
    weightless = settings.model_copy(update={"synthetic_weight": 0.0})
    real, none, some = (
        train(fold, events, one, 3, epochs=2).model
        for events, one in ((None, settings), (synthetic_for(fold), weightless), (synthetic_for(fold), settings))
    )
    user = np.arange(len(fold.pair.target.users), dtype=np.int32)
    np.testing.assert_array_equal(real.rank_scores(user), none.rank_scores(user))
    assert not np.array_equal(real.rank_scores(user), some.rank_scores(user))


@pytest.mark.parametrize("name", NAMES)
def test_threads_that_train_beside_each_other_change_no_bit(name, examples):
    state = torch.random.get_rng_state()
    alone = [scores(passes(name, examples, 2, seed=seed)[-1], examples) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda seed: passes(name, examples, 2, seed=seed)[-1], (0, 1)))
    for one, model in zip(alone, models, strict=True):
        np.testing.assert_array_equal(one, scores(model, examples))
    assert torch.equal(state, torch.random.get_rng_state())  # nobody else's random numbers were touched


@pytest.mark.parametrize("name", ["deepfm", "sasrec"])
def test_a_training_that_was_cut_off_goes_on_as_if_it_was_not(name, examples, tmp_path):
    undisturbed = passes(name, examples, 4)
    passes(name, examples, 2, checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    again = passes(name, examples, 4, checkpoint=tmp_path)
    for one, other in zip(undisturbed, again, strict=True):
        np.testing.assert_array_equal(scores(one, examples), scores(other, examples))
    with pytest.raises(ConfigError, match="belongs to another training"):
        passes(name, examples, 1, seed=9, checkpoint=tmp_path)


def test_trainings_share_a_folder_of_checkpoints_and_go_on_each_by_itself(fold, tmp_path, monkeypatch):
    from scalr.evaluation.models.deep.learner import Learner

    settings = SETTINGS.model_copy(update={"model": "deepfm"})
    kept = settings.model_copy(update={"checkpoints": str(tmp_path / "kept")})
    user = np.arange(len(fold.pair.target.users), dtype=np.int32)
    plain = [train(fold, None, settings, seed, epochs=2).model.rank_scores(user) for seed in (0, 1)]
    for seed in (0, 1):
        train(fold, None, kept, seed, epochs=2)
    folders = list((tmp_path / "kept").iterdir())
    assert sorted(len(list(one.iterdir())) for one in folders) == [2, 2]

    def never(self, rows, epoch, share):
        raise AssertionError("a pass that was kept is gone through again")

    monkeypatch.setattr(Learner, "step", never)
    for seed, expected in enumerate(plain):
        np.testing.assert_array_equal(train(fold, None, kept, seed, epochs=2).model.rank_scores(user), expected)


@pytest.mark.parametrize("name", ["mf", "lightgbm"])
def test_models_that_keep_no_checkpoints_say_so(fold, name):
    with pytest.raises(ConfigError, match="keeps no checkpoints"):
        train(fold, None, TrainSettings(model=name, checkpoints="kept"), epochs=1)


@pytest.mark.parametrize("name", ["two_tower", "wide_deep"])
def test_prediction_leaves_out_what_synthetic_rows_know_about_themselves(name, examples):
    from scalr.evaluation.models.deep.learner import Learner

    learner = Learner.begin(
        name, Entities.from_examples(examples), np.zeros((2, 60), np.float32), SETTINGS, (0.1, 1.0), 0
    )
    learner.remember()
    before = scores(learner.model(), examples)
    with torch.no_grad():
        learner.heads.intercept[1] += 3.0
        learner.heads.log_scale += 1.0
        learner.heads.synthetic_bias.weight += 1.0
    learner.remember()
    np.testing.assert_array_equal(before, scores(learner.model(), examples))
    with torch.no_grad():
        learner.heads.intercept[0] += 3.0
    learner.remember()  # the third of three
    np.testing.assert_allclose(scores(learner.model(), examples), before + 1.0, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strength", [None, 0.0, 0.5])
def test_the_synthetic_head_begins_at_all_of_its_own_popularity(strength, examples):
    settings = SETTINGS.model_copy(update={"popularity_prior": strength, "objective": "auxiliary"})
    prior = deep._prior(rows_in_memory(examples, 0), Entities.from_examples(examples), settings)
    n_items, n_catalogue = len(examples.item_keys), len(examples.catalogue)
    for head, (share, rows) in enumerate([(strength or 0.0, ~examples.is_synthetic), (1.0, examples.is_synthetic)]):
        taken = np.bincount(examples.item[rows], examples.weight[rows], n_items)
        expected = share * np.log((taken + 0.5) / (taken.sum() / n_catalogue + 0.5))
        np.testing.assert_allclose(prior[head], expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(prior[1]) > 0


def test_without_synthetic_rows_their_head_begins_at_nothing(fold):
    real = examples_of(fold, None, SETTINGS)
    assert not deep._prior(rows_in_memory(real, 0), Entities.from_examples(real), SETTINGS)[1].any()


def test_what_is_handed_out_is_the_mean_of_the_parameters_on_their_way(examples, monkeypatch):
    from scalr.evaluation.models.deep.learner import AVERAGES_PER_EPOCH, Learner

    seen, plain = [], Learner.remember

    def noted(self):
        seen.append({name: value.detach().clone() for name, value in self.network.named_parameters()})
        plain(self)

    monkeypatch.setattr(Learner, "remember", noted)
    model = passes("deepfm", examples, 3)[-1]
    assert len(seen) == 3 * AVERAGES_PER_EPOCH
    average = {name: torch.zeros_like(value) for name, value in seen[0].items()}
    for times, now in enumerate(seen):  # the first so many count alike, then all before fade by half in a pass
        share = max(1 / (times + 1), 1 - 0.5 ** (1 / AVERAGES_PER_EPOCH))
        average = {name: (1 - share) * value + share * now[name] for name, value in average.items()}
    for name, value in model.network.named_parameters():
        torch.testing.assert_close(value, average[name], rtol=1e-4, atol=1e-6)
        if value.numel() > 1 and not torch.equal(seen[0][name], seen[-1][name]):
            assert not torch.allclose(value, seen[-1][name], rtol=1e-4, atol=1e-6)


def test_histories_in_short_rows_are_what_they_are_in_long_ones(examples):
    from scalr.evaluation.models.deep import networks

    network = networks.build("sasrec", Entities.from_examples(examples), 8, 0)
    random = np.random.default_rng(0)
    for lengths in (random.integers(0, networks.HISTORY + 1, 200), [0], [3], [networks.HISTORY], [5, 6, 10, 11]):
        history = np.zeros((len(lengths), networks.HISTORY), np.int64)
        for row, length in enumerate(lengths):
            history[row, :length] = random.integers(1, 61, length)
        ours = network.user_vectors(None, torch.from_numpy(history))
        twice = torch.from_numpy(np.concatenate([history, history]))
        whole = network.network.user_tower({"seq": twice}).squeeze(1)[: len(history)]
        whole = whole * networks.SEQUENCE_SCALE * whole.shape[1] ** -0.5
        torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-6)


def test_the_adapter_is_what_its_formula_says():
    from scalr.evaluation.models.deep.learner import Heads

    heads = Heads(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), negatives=4)
    with torch.no_grad():
        heads.log_scale.fill_(0.5)
        heads.real_bias.weight.copy_(torch.tensor([[0.1], [0.2]]))
        heads.synthetic_bias.weight.copy_(torch.tensor([[0.3], [0.4]]))
    logit, item = torch.tensor([[1.0, -1.0], [1.0, -1.0]]), torch.tensor([[0, 1], [0, 1]])
    found = heads(logit, item, torch.tensor([False, True])).detach().numpy()
    start, scale = -np.log(4), np.exp(0.5)
    real = [1 + start + 1 + 0.1, -1 + start + 2 + 0.2]
    synthetic = [scale + start + 3 + 0.3, -scale + start + 4 + 0.4]
    np.testing.assert_allclose(found, [real, synthetic], rtol=1e-5)


def test_a_steps_size_is_bounded_however_heavy_a_row_is(examples):
    heavy = replace(examples, weight=np.full(len(examples), 1e4, np.float32), is_synthetic=examples.is_synthetic)
    for name in NAMES:
        assert np.isfinite(scores(passes(name, heavy, 3)[-1], heavy)).all()


def test_item_tables_become_codes():
    groups = Categories(np.array([0, 1, 2, 1], np.int32), 3)
    fields, sizes = item_fields(ItemFeatures({"group": groups}, {"price": np.array([1.0, np.nan, 3.0, 2.0])}), 4)
    np.testing.assert_array_equal(fields[:, 0], [0, 1, 2, 1])
    assert fields[1, 1] == 0
    assert 0 < fields[0, 1] < fields[3, 1] < fields[2, 1] < sizes[1]
    assert sizes[0] == 3


def files_of(examples, folder, row_group_size=100):
    columns = {name: getattr(examples, name) for name in ("user", "item", "weight", "is_synthetic")}
    table, n = pa.table(columns), examples.n_first
    for name, part in (("real", table.slice(0, n)), ("synthetic", table.slice(n))):
        pq.write_table(part, folder / f"{name}.parquet", row_group_size=row_group_size)
    return [folder / "real.parquet"], [folder / "synthetic.parquet"]


def streamed(examples, folder, **others):
    real, synthetic = files_of(examples, folder)
    return (
        StreamedRows.from_files(real, 0, **others),
        StreamedRows.from_files(synthetic, 0, mixed=True, first_number=examples.n_first, **others),
    )


@pytest.mark.parametrize("prior", [None, 0.5])
def test_streamed_rows_give_the_model_of_rows_in_memory(examples, tmp_path, prior):
    settings = SETTINGS.model_copy(update={"popularity_prior": prior})
    sources = streamed(examples, tmp_path)
    models = islice(deep.fit_rows("deepfm", sources, Entities.from_examples(examples), settings, 0), 2)
    for one, other in zip(models, passes("deepfm", examples, 2, settings), strict=True):
        np.testing.assert_array_equal(scores(one, examples), scores(other, examples))


def test_a_small_window_visits_the_same_rows(examples, tmp_path):
    for one, other in zip(streamed(examples, tmp_path, window=50), rows_in_memory(examples, 0), strict=True):
        parts = list(one.portions(1))
        assert len(parts) > 1
        assert max(map(len, parts)) < 150  # a window and a row group
        found = np.concatenate([part.number for part in parts])
        assert one.count(1) == len(found)
        assert sorted(found) == sorted(np.concatenate([part.number for part in other.portions(1)]))


def test_files_without_the_columns_and_networks_without_streams_are_refused(examples, tmp_path):
    pq.write_table(pa.table({"user": [1]}), tmp_path / "bad.parquet")
    with pytest.raises(SchemaError, match="no column 'item'"):
        StreamedRows.from_files([tmp_path / "bad.parquet"], 0)
    with pytest.raises(ConfigError, match="reads users' histories"):
        deep.fit_rows("sasrec", rows_in_memory(examples, 0), Entities.from_examples(examples))


def test_a_missing_extra_is_named(examples, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_rechub", None)
    with pytest.raises(MissingExtraError, match="torch_rechub") as error:
        passes("deepfm", examples, 1)
    assert error.value.fix == "pip install 'scalr-rec[torch]'"
