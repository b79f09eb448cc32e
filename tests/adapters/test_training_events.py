"""What is exported, against plain loops over the files; thinning against its law; wrong runs."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr import adapters
from scalr.adapters import read_run
from scalr.foundation.errors import ConfigError, InputError, SchemaError


def oracle(made, lam=0.3, kappa=4.0) -> list[tuple]:
    """(user, item, is_synthetic, weight) of a log without labels and weights, one event at a time."""
    real = [(row["user"], row["item"]) for row in made.target.to_pylist()]
    events = [(user, item, False, 1.0) for user, item in real]
    for row in made.events():
        n = sum(1 for user, _ in real if user == row["user"])
        shrunk = kappa / (kappa + n) if kappa is not None else 1.0
        events.append((row["user"], row["item"], True, lam * row["weight"] * shrunk))
    return sorted(events)


def rows(table: pa.Table) -> list[tuple]:
    return sorted((one["user"], one["item"], one["is_synthetic"], one["weight"]) for one in table.to_pylist())


def same(found: list[tuple], expected: list[tuple]) -> None:
    assert [one[:3] for one in found] == [one[:3] for one in expected]
    np.testing.assert_allclose([one[3] for one in found], [one[3] for one in expected], rtol=1e-6)


def test_real_events_weigh_one_and_synthetic_ones_what_training_gives_them(run):
    same(rows(adapters.to_arrow(run.folder)), oracle(run))


@pytest.mark.parametrize(("lam", "kappa"), [(1.0, 2.5), (0.05, np.inf)])
def test_weight_and_shrinkage_can_be_given(run, lam, kappa):
    table = adapters.to_arrow(run.folder, synthetic_weight=lam, shrinkage=kappa)
    same(rows(table), oracle(run, lam, None if kappa == np.inf else kappa))


def test_no_weight_leaves_the_real_events_as_they_are(run):
    table = adapters.to_arrow(run.folder, synthetic_weight=0)
    assert table.drop_columns(["is_synthetic", "weight"]).equals(run.target.cast(table.schema.remove(5).remove(4)))


def test_both_layouts_hold_the_same_events(run, compact):
    """Layout `compact` lacks only what is not stored in it: the items' values."""
    one, other = (adapters.to_arrow(made.folder) for made in (run, compact))
    assert one.drop_columns(["value"]).equals(other.drop_columns(["value"]))
    for batch, twin in zip(read_run(run.folder).batches(), read_run(compact.folder).batches(), strict=True):
        assert batch.is_synthetic == twin.is_synthetic
        for name in ("user", "item", "time", "weight", "key"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(twin, name))


def test_codes_stand_for_the_ids_and_times_are_microseconds(run):
    events = read_run(run.folder)
    found = []
    for batch in events.batches():
        ids = events.users.ids.take(pa.array(batch.user)), events.items.ids.take(pa.array(batch.item))
        found += zip(*(one.to_pylist() for one in ids), (batch.time // 1_000_000).tolist(), strict=True)
    everything = run.target.to_pylist() + run.events()
    assert Counter(found) == Counter((row["user"], row["item"], row["time"]) for row in everything)


def test_an_awkward_log_comes_back_in_its_own_columns(awkward):
    table = adapters.to_arrow(awkward.folder)
    assert table.column_names == ["member", "sku", "when", "clicked", "w", "shop", "is_synthetic", "weight"]
    real = table.filter(pa.compute.invert(table["is_synthetic"])).to_pylist()
    expected = [row for row in awkward.target.to_pylist() if row["member"] is not None and row["w"] > 0]
    names = ("member", "sku", "clicked", "w", "shop")
    assert [[row[name] for name in names] for row in real] == [[row[name] for name in names] for row in expected]
    assert [row["weight"] for row in real] == [row["w"] for row in expected]
    assert [row["when"] for row in real] == [row["when"].replace(tzinfo=None) for row in expected]
    synthetic = table.filter(table["is_synthetic"]).to_pylist()
    kept = [row for row in awkward.events() if row["weight"] > 0]
    assert [row["member"] for row in synthetic] == [row["member"] for row in kept]
    history = Counter(row["member"] for row in awkward.target.to_pylist() if row["clicked"])
    law = [0.3 * row["weight"] * 4 / (4 + history[row["member"]]) for row in kept]
    np.testing.assert_allclose([row["weight"] for row in synthetic], law, rtol=1e-6)
    assert all(row["clicked"] and row["shop"] is None for row in synthetic)


def test_thinning_keeps_the_expected_weight_and_is_the_same_again(run):
    """The kept number is a sum of independent trials: within five standard deviations, false alarm below 1e-6."""
    weight = np.concatenate([batch.weight for batch in read_run(run.folder).synthetic_batches()]).astype(float)
    events = read_run(run.folder, thinned=True)
    kept = list(events.synthetic_batches())
    n = sum(map(len, kept))
    assert abs(n - weight.sum()) < 5 * np.sqrt((weight * (1 - weight)).sum())
    assert all((batch.weight == 1).all() for batch in kept)
    again = read_run(run.folder).as_thinned()
    assert adapters.to_arrow(again).equals(adapters.to_arrow(events))
    table = adapters.to_arrow(events)
    assert pa.compute.sum(table["is_synthetic"]).as_py() == n
    other = read_run(run.folder, thinned=True, seed=99)
    assert not adapters.to_arrow(other).equals(adapters.to_arrow(events))


def test_a_weight_of_one_keeps_every_event(run):
    events = read_run(run.folder, synthetic_weight=1, shrinkage=np.inf, thinned=True)
    assert sum(map(len, events.synthetic_batches())) == len(run.events())


def test_options_of_reading_do_not_come_too_late(run):
    with pytest.raises(ConfigError, match="synthetic_weight is given for events that were read already"):
        adapters.to_arrow(read_run(run.folder), synthetic_weight=0.1)


@pytest.mark.parametrize(("option", "value"), [("synthetic_weight", -1), ("shrinkage", 0)])
def test_weights_out_of_range_are_refused(run, option, value):
    with pytest.raises(ConfigError, match=option):
        read_run(run.folder, **{option: value})


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError):
        read_run(tmp_path)


def test_a_run_without_events_is_refused(run, tmp_path):
    shutil.copy(run.folder / "manifest.json", tmp_path)
    with pytest.raises(InputError, match="no folder 'synthetic'"):
        read_run(tmp_path)


def test_another_target_log_is_refused_and_a_moved_one_found(run, tmp_path, world):
    moved = tmp_path / "elsewhere.parquet"
    pq.write_table(world.target, moved)
    log = next(
        one for one in json.loads((run.folder / "manifest.json").read_text())["inputs"] if one["role"] == "target"
    )
    shutil.copy(log["files"][0], moved)
    assert adapters.to_arrow(run.folder, target=moved).equals(adapters.to_arrow(run.folder))
    pq.write_table(world.target.slice(1), moved)
    with pytest.raises(InputError, match="is not the one that"):
        read_run(run.folder, target=moved)


def test_a_missing_target_log_is_named(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    file = tmp_path / "copy" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["settings"]["target"] = "gone.parquet"
    file.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"is not at 'gone.parquet'") as refused:
        read_run(tmp_path / "copy")
    assert "--target" in refused.value.fix


def test_a_closed_gate_is_told(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    gate = [{"segment": "warm", "open": True}, {"segment": "cold", "open": False}]
    (tmp_path / "copy" / "evaluation.json").write_text(json.dumps({"choice": {"gate": gate}}))
    assert "closed for cold users" in read_run(tmp_path / "copy").notes[0]
    assert read_run(run.folder).notes == ()


def test_ids_that_recboles_format_cannot_hold_are_refused(tmp_path, world):
    from tests.adapters.conftest import generate

    def named(table):
        return table.set_column(0, "user", pa.array([f"a\tb{one}" for one in table["user"].to_pylist()]))

    for name, table in (("source", named(world.source)), ("target", named(world.target))):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    generate(tmp_path / "run", "--source", tmp_path / "source.parquet", "--target", tmp_path / "target.parquet")
    with pytest.raises(SchemaError, match="cannot be written"):
        adapters.to_recbole(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
