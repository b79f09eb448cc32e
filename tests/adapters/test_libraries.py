"""Every form with the real library, as far as it is installed here; the others are for `make compat`."""

import datetime as dt
import pickle
import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.adapters.conftest import Made, generate

from scalr import adapters
from scalr.adapters import ADAPTERS, export, read_run
from scalr.adapters.labelled import export_rows
from scalr.adapters.toolkits import interactions_table
from scalr.foundation.errors import ConfigError, MissingExtraError, OutputError

EXTRA = "needs an optional library: make test-extras"


def optional(module):
    return pytest.importorskip(module, reason=EXTRA)


def pair_weights(made, **options) -> dict[tuple, float]:
    """Weight of every pair: the largest of its real events plus the sum of its synthetic ones."""
    real, synthetic = defaultdict(float), defaultdict(float)
    for row in adapters.to_arrow(made.folder, **options).to_pylist():
        pair = row["user"], row["item"]
        if row["is_synthetic"]:
            synthetic[pair] += row["weight"]
        else:
            real[pair] = max(real[pair], row["weight"])
    return {pair: real[pair] + synthetic[pair] for pair in {*real, *synthetic}}


def cells(matrix, users, items) -> dict[tuple, float]:
    coo, users, items = matrix.tocoo(), users.to_pylist(), items.to_pylist()
    return {(users[u], items[i]): float(w) for u, i, w in zip(coo.row, coo.col, coo.data, strict=True)}


def test_frames_hold_the_same_table(run):
    table = adapters.to_arrow(run.folder)
    assert adapters.to_polars(run.folder).to_arrow().cast(table.schema).equals(table)
    assert pa.Table.from_pandas(adapters.to_pandas(run.folder), schema=table.schema).equals(table)
    total = adapters.to_duckdb(run.folder).aggregate("sum(weight), count(*) filter (is_synthetic)").fetchall()
    assert total[0] == (pytest.approx(pa.compute.sum(table["weight"]).as_py()), len(run.events()))


def test_hugging_face(run):
    optional("datasets")
    data = adapters.to_huggingface(run.folder)
    table = adapters.to_arrow(run.folder)
    assert data.column_names == table.column_names
    assert data.data.table.equals(table)
    assert data.filter(lambda row: row["is_synthetic"]).num_rows == len(run.events())


def test_implicit(run):
    als = optional("implicit.als")
    found = adapters.to_implicit(run.folder)
    assert cells(found.values, found.users, found.items) == pytest.approx(pair_weights(run), rel=1e-5)
    with optional("threadpoolctl").threadpool_limits(1, "blas"):
        model = als.AlternatingLeastSquares(factors=4, iterations=2, alpha=40, num_threads=1, random_state=1)
        model.fit(found.values, show_progress=False)
    items, _ = model.recommend(0, found.values[0], N=3)
    assert len(items) == 3


def test_lightfm_gets_ones_and_weights_in_one_order(run):
    found = adapters.to_lightfm(run.folder)
    assert cells(found.weights, found.users, found.items) == pytest.approx(pair_weights(run), rel=1e-5)
    for part in ("row", "col"):
        np.testing.assert_array_equal(getattr(found.interactions, part), getattr(found.weights, part))
    assert set(found.interactions.data) == {1}


@pytest.mark.parametrize("name", ["rectools", "lenskit", "replay"])
def test_tables_for_libraries_with_an_environment_of_their_own(run, tmp_path, name):
    export(run.folder, name, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "interactions.parquet")
    weight = next(column for column in table.column_names if column in ("weight", "rating"))
    found = {(row["user_id"], row["item_id"]): row[weight] for row in table.to_pylist()}
    assert found == pytest.approx(pair_weights(run), rel=1e-5)
    last = defaultdict(int)
    for row in run.target.to_pylist() + run.events():
        last[row["user"], row["item"]] = max(last[row["user"], row["item"]], row["time"])
    times = table.column(3).cast(pa.int64()).to_numpy() // 1_000_000
    assert times.tolist() == [last[row["user_id"], row["item_id"]] for row in table.to_pylist()]


def read_atomic(file) -> list[dict]:
    """Read an atomic file as its documentation describes it: a header of name:type, tabs, one type per column."""
    lines = file.read_text().split("\n")
    assert lines.pop() == ""
    header = [tuple(cell.split(":")) for cell in lines[0].split("\t")]
    read = {
        "token": str,
        "float": lambda cell: float(cell) if cell else None,
        "token_seq": lambda cell: cell.split(" "),
    }
    rows = [line.split("\t") for line in lines[1:]]
    assert {len(row) for row in rows} <= {len(header)}
    return [{name: read[kind](cell) for (name, kind), cell in zip(header, row, strict=True)} for row in rows]


def test_recbole_gets_thinned_events_and_items(run, tmp_path, item_table):
    n = adapters.to_recbole(run.folder, tmp_path / "mine")
    rows = read_atomic(tmp_path / "mine" / "mine.inter")
    kept = adapters.to_arrow(run.folder, thinned=True).to_pylist()
    expected = [(str(row["user"]), str(row["item"]), float(row["time"]), float(row["is_synthetic"])) for row in kept]
    assert n == len(rows)
    assert sorted(tuple(row.values()) for row in rows) == sorted(expected)
    items = {row["item_id"]: row for row in read_atomic(tmp_path / "mine" / "mine.item")}
    for row in item_table.to_pylist():
        found = items.pop(str(row["item"]))
        assert found["price"] == row["price"]
        assert found["category"] == row["category"]
        assert found["title"] == row["title"].replace('"', "'").replace("\t", " ")
        assert found["tags"] == [one.replace(" ", "_") for one in row["tags"]] or not row["tags"]
    assert [row["category"] for row in items.values()] == [""]


def test_negatives_keep_the_real_rate(run, awkward):
    """Without labels every event has four; with labels synthetic ones have as many as the log has per positive."""
    parts = list(export_rows(read_run(run.folder)))
    for synthetic in (False, True):
        mine = [part for part in parts if part.is_synthetic == synthetic]
        counts = np.bincount(np.concatenate([part.label for part in mine]), minlength=2)
        assert counts[0] == 4 * counts[1]
    weights = [sum(part.weight[part.label == label].sum(dtype=float) for part in parts) for label in (0, 1)]
    assert weights[0] == pytest.approx(4 * weights[1])
    parts = list(export_rows(read_run(awkward.folder)))
    labels = {flag: np.concatenate([p.label for p in parts if p.is_synthetic == flag]) for flag in (False, True)}
    rows = [row for row in awkward.target.to_pylist() if row["member"] is not None]
    assert np.bincount(labels[False]).tolist() == [
        sum(row["clicked"] == label and row["w"] > 0 for row in rows) for label in (False, True)
    ]
    rate = np.mean([row["clicked"] for row in rows])
    n = labels[True].sum()
    negatives = n * (1 - rate) / rate  # a sum of n trials: five standard deviations, false alarm below 1e-6
    assert abs(len(labels[True]) - n - negatives) < 5 * np.sqrt(n / 4)


def test_libsvm_is_what_scikit_learn_reads(run, tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    n = adapters.to_libsvm(run.folder, tmp_path / "out")
    x, y = datasets.load_svmlight_file(str(tmp_path / "out" / "train.libsvm"), zero_based=False)
    weight = np.loadtxt(tmp_path / "out" / "train.libsvm.weight", dtype=np.float32)
    assert n == len(y) == len(weight) == x.shape[0]
    assert (x.sum(axis=1) == 2).all()
    users, items = (pq.read_table(tmp_path / "out" / f"{name}.parquet")["id"] for name in ("users", "items"))
    first = next(read_run(run.folder).batches())
    place = x[:2].tocoo()
    assert place.col[place.row == 0].tolist() == [first.user[0], len(users) + first.item[0]]
    assert x.shape[1] <= len(users) + len(items)
    assert weight[y == 1].sum() == pytest.approx(pa.compute.sum(adapters.to_arrow(run.folder)["weight"]).as_py())


def test_lightgbm_trains_with_the_weights(run, tmp_path):
    lightgbm = optional("lightgbm")
    quiet = {"verbose": -1, "num_threads": 1, "deterministic": True}
    data = adapters.to_lightgbm(run.folder, params=quiet)
    model = lightgbm.train({"objective": "binary", **quiet}, data, num_boost_round=3)
    assert model.feature_name() == ["user", "item", "item_category", "item_price"]
    weight = np.concatenate([part.weight for part in export_rows(read_run(run.folder))])
    np.testing.assert_array_equal(data.get_weight(), weight)
    export(run.folder, "lightgbm", tmp_path / "out")
    stored = lightgbm.Dataset(str(tmp_path / "out" / "train.bin"), params=quiet).construct()
    np.testing.assert_array_equal(stored.get_weight(), weight)
    np.testing.assert_array_equal(stored.get_label(), data.get_label())


def torch_rows(batches) -> list[tuple]:
    names = ("user", "item", "time", "is_synthetic", "weight")
    return sorted(row for batch in batches for row in zip(*(batch[name].tolist() for name in names), strict=True))


def coded(run) -> list[tuple]:
    return sorted(
        row
        for batch in read_run(run.folder).batches()
        for row in zip(batch.user.tolist(), batch.item.tolist(), batch.time.tolist(),
                       [batch.is_synthetic] * len(batch), batch.weight.tolist(), strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("shuffle", [False, True])
def test_torch_gives_every_event_once(run, shuffle):
    optional("torch")
    data = adapters.to_torch(run.folder, batch_size=100, shuffle=shuffle)
    batches = list(data)
    assert torch_rows(batches) == coded(run)
    assert [len(batch["user"]) for batch in batches[:-1]] == [100] * (len(batches) - 1)
    assert (data.n_users, data.n_items) == (len(read_run(run.folder).users), len(read_run(run.folder).items))


def test_torch_mixes_by_seed_and_epoch(run):
    optional("torch")
    data = adapters.to_torch(run.folder, batch_size=64)
    first, again = (torch_order(data) for _ in range(2))
    data.set_epoch(1)
    assert first == again != torch_order(data)
    shares = [batch["is_synthetic"].float().mean().item() for batch in data][:-1]
    whole = np.mean(torch_order(data, "is_synthetic"))
    assert np.abs(np.array(shares) - whole).max() < 5 * np.sqrt(whole * (1 - whole) / 64)  # false alarm below 1e-5


def torch_order(data, name="user") -> list:
    return [value for batch in data for value in batch[name].tolist()]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_torch_workers_share_the_events(run, workers, shuffle, monkeypatch):
    """More workers than row groups too; reads of 50 events, so that there are several."""
    optional("torch")
    from scalr.adapters import loader
    from scalr.adapters import part_files as parts
    from scalr.adapters import training_events as events

    for module in (events, parts):
        monkeypatch.setattr(module, "BATCH_ROWS", 50)
    monkeypatch.setattr(loader, "_POOL_ROWS", 120)
    data = adapters.to_torch(run.folder, batch_size=16, shuffle=shuffle)
    found = []
    for worker in range(workers):
        info = type("Info", (), {"id": worker, "num_workers": workers})
        monkeypatch.setattr(loader, "get_worker_info", lambda info=info: info)
        found += torch_rows(data)
    assert sorted(found) == coded(run)


@pytest.mark.slow
def test_torch_workers_are_processes(run):
    torch = optional("torch")
    data = adapters.to_torch(run.folder, batch_size=64)
    spawned = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    assert torch_rows(spawned) == coded(run)


def test_training_events_can_be_pickled(run):
    again = pickle.loads(pickle.dumps(read_run(run.folder)))
    assert adapters.to_arrow(again).equals(adapters.to_arrow(run.folder))


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_every_export_writes_what_it_says(run, tmp_path, name):
    if name == "lightgbm":
        optional("lightgbm")
    facts = export(run.folder, name, tmp_path / "out")
    for pattern in ADAPTERS[name].files.replace("NAME", "out").split(", "):
        assert list((tmp_path / "out").glob(pattern)), pattern
    assert facts["thinned"] == (ADAPTERS[name].how == "thinning")
    assert facts["rows"] > 0
    with pytest.raises(OutputError, match="not empty"):
        export(run.folder, name, tmp_path / "out")


@pytest.mark.parametrize("name", ["pandas", "polars", "arrow", "duckdb", "huggingface"])
def test_the_line_to_load_a_table_holds(run, tmp_path, name, monkeypatch):

    modules = {"arrow": "pyarrow", "huggingface": "datasets"}
    module = modules.get(name, name)
    if name == "huggingface":
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    library = optional(module)
    line = export(run.folder, name, tmp_path / "out")["load"]
    if name == "huggingface":
        line = line.replace('split="train"', f'split="train", cache_dir="{tmp_path / "cache"}"')
    loaded = eval(line, {module: library})
    rows = loaded.count_rows() if name == "arrow" else len(loaded.collect() if name == "polars" else loaded)
    assert rows == len(run.target) + len(run.events())


def test_an_unknown_library_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="no library is called 'recbol'") as refused:
        adapters.get_adapter("recbol")
    assert "recbole" in refused.value.fix


@pytest.mark.parametrize(
    ("convert", "module", "fix"),
    [
        (adapters.to_torch, "torch", "pip install 'scalr-rec[torch]'"),
        (adapters.to_huggingface, "datasets", "pip install 'scalr-rec[adapters]'"),
        (adapters.to_implicit, "scipy", "pip install 'scalr-rec[adapters]'"),
        (adapters.to_lightgbm, "lightgbm", "pip install 'scalr-rec[models]'"),
        (adapters.to_rectools, "rectools", "pip install 'rectools' in a separate environment"),
        (adapters.to_lenskit, "lenskit", "pip install 'lenskit' in a separate environment"),
        (adapters.to_replay, "replay", "pip install 'replay-rec' in a separate environment"),
    ],
)
def test_a_missing_library_is_named_with_what_brings_it(run, monkeypatch, convert, module, fix):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"module '{module}") as refused:
        convert(run.folder)
    assert refused.value.fix.startswith(fix)


@pytest.mark.parametrize("kind", ["no time", "a plain order"])
def test_logs_without_time_or_with_a_plain_order(world, tmp_path, kind):
    """And users as a dictionary column, which comes back as one."""
    for name in ("source", "target"):
        table = getattr(world, name)
        user = table["user"].cast(pa.string()).combine_chunks().dictionary_encode()
        table = table.set_column(0, "user", user).drop_columns(["time"])
        if kind == "a plain order":
            table = table.append_column("time", pa.array(range(len(table)), pa.int32()))
        pq.write_table(table, tmp_path / f"{name}.parquet")
    generate(tmp_path / "run", "--source", tmp_path / "source.parquet", "--target", tmp_path / "target.parquet")
    made = Made(tmp_path / "run", pq.read_table(tmp_path / "target.parquet"))
    table = adapters.to_arrow(made.folder)
    assert table.schema.field("user").type == made.target.schema.field("user").type
    assert len(table) == len(made.target) + len(made.events())
    interactions = interactions_table(read_run(made.folder), "rectools").to_pylist()
    found = {(row["user_id"], row["item_id"]): row["weight"] for row in interactions}
    assert found == pytest.approx(pair_weights(made), rel=1e-5)
    adapters.to_recbole(made.folder, tmp_path / "mine")
    rows = read_atomic(tmp_path / "mine" / "mine.inter")
    if kind == "no time":
        assert list(rows[0]) == ["user_id", "item_id", "is_synthetic"]
        assert {row["datetime"] for row in interactions} == {dt.datetime(1970, 1, 1)}
    else:
        real = [row for row in rows if not row["is_synthetic"]]
        assert sorted(row["timestamp"] for row in real) == list(range(len(made.target)))
    assert not (tmp_path / "mine" / "mine.item").exists()
