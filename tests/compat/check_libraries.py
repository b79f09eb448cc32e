"""Libraries that want an environment of their own: `make compat` runs this with its Python.

Each builds the library's own data set from a small run, checks that the weights are in it (RecBole: that the thinned
events are), and fits a small model. What does not hold ends the script with an error.
"""

import os
import sys
import tempfile
import warnings
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from scalr import adapters
from scalr.cli import main
from scalr.logs.simulation import simulate


def make_run(folder: Path) -> Path:
    """Generate a small run with an item table."""
    world = simulate(n_users=150, n_source_items=60, n_target_items=40, seed=1)
    for name in ("source", "target"):
        pq.write_table(getattr(world, name), folder / f"{name}.parquet")
    (folder / "items.csv").write_text("item,category\n" + "".join(f"{1_000_000 + n},c{n % 3}\n" for n in range(40)))
    files = {"--source": "source.parquet", "--target": "target.parquet", "--items": "items.csv"}
    logs = [word for option, file in files.items() for word in (option, str(folder / file))]
    assert main(["generate", *logs, "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def pair_weights(run: Path) -> dict[tuple[int, int], float]:
    """Return the weight of every pair, one event at a time."""
    real, synthetic = defaultdict(float), defaultdict(float)
    for row in adapters.to_arrow(run).to_pylist():
        pair = row["user"], row["item"]
        if row["is_synthetic"]:
            synthetic[pair] += row["weight"]
        else:
            real[pair] = max(real[pair], row["weight"])
    return {pair: real[pair] + synthetic[pair] for pair in {*real, *synthetic}}


def assert_same(found: dict, expected: dict) -> None:
    """Compare two weights per pair."""
    assert set(found) == set(expected)
    np.testing.assert_allclose([found[pair] for pair in expected], list(expected.values()), rtol=1e-5)


def cells(matrix, users, items) -> dict[tuple[int, int], float]:
    """Return what a sparse matrix holds, by ids."""
    coo = matrix.tocoo()
    return {(users[u], items[i]): float(value) for u, i, value in zip(coo.row, coo.col, coo.data, strict=True)}


def rectools(run: Path, folder: Path) -> str:
    """A Dataset and ALS around it."""
    import pandas as pd
    from implicit.als import AlternatingLeastSquares
    from rectools.dataset import Dataset
    from rectools.models import ImplicitALSWrapperModel

    data = adapters.to_rectools(run)
    users, items = data.user_id_map.external_ids, data.item_id_map.external_ids
    assert_same(cells(data.get_user_item_matrix(), users, items), pair_weights(run))
    adapters.export(run, "rectools", folder / "rectools")
    again = Dataset.construct(pd.read_parquet(folder / "rectools" / "interactions.parquet"))
    assert (again.get_user_item_matrix() != data.get_user_item_matrix()).nnz == 0
    model = ImplicitALSWrapperModel(AlternatingLeastSquares(factors=8, iterations=3, num_threads=1, random_state=1))
    model.fit(data)
    shown = model.recommend(users=users[:5], dataset=data, k=3, filter_viewed=False)
    assert len(shown) == 15
    return "Dataset, ImplicitALSWrapperModel"


def lenskit(run: Path, folder: Path) -> str:
    """A Dataset and implicit matrix factorisation that uses ratings."""
    import pandas as pd
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.training import TrainingOptions

    data = adapters.to_lenskit(run)
    matrix = data.interactions().matrix().scipy(attribute="rating")
    assert_same(cells(matrix, data.users.ids(), data.items.ids()), pair_weights(run))
    adapters.export(run, "lenskit", folder / "lenskit")
    frame = pd.read_parquet(folder / "lenskit" / "interactions.parquet")
    assert from_interactions_df(frame, rating_col="rating").interaction_count == data.interaction_count
    scores = []
    for use in (True, False):
        model = ImplicitMFScorer(embedding_size=8, epochs=3, use_ratings=use)
        model.train(data, TrainingOptions(rng=1))
        user = data.users.ids()[0]
        scores.append(model(RecQuery(user_id=user), ItemList(item_ids=data.items.ids())).scores())
    assert np.isfinite(scores[0]).all()
    assert not np.allclose(*scores)
    return "Dataset, ImplicitMFScorer(use_ratings=True)"


def replay(run: Path, folder: Path) -> str:
    """A Dataset and popularity by weight, whose answer is known. RePlay's models fit Spark frames."""
    data = adapters.to_replay(run)
    weights = pair_weights(run)
    found = zip(*(data.interactions[name] for name in ("user_id", "item_id", "weight")), strict=True)
    assert_same({(user, item): weight for user, item, weight in found}, weights)
    from replay.models import PopRec

    data.to_spark()
    model = PopRec(use_rating=True)
    model.fit(data)
    shown = model.predict(data, k=1, filter_seen_items=False).toPandas()
    total = defaultdict(float)
    for (_, item), weight in weights.items():
        total[item] += weight
    assert set(shown["item_id"]) == {max(total, key=total.__getitem__)}
    return "Dataset, PopRec(use_rating=True)"


def recbole(run: Path, folder: Path) -> str:
    """Atomic files and BPR."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.general_recommender import BPR
    from recbole.trainer import Trainer

    rows = adapters.to_recbole(run, folder / "thinned")
    fields = {"inter": ["user_id", "item_id", "timestamp", "is_synthetic"], "item": ["item_id", "category"]}
    settings = {"data_path": str(folder), "load_col": fields, "epochs": 1, "use_gpu": False, "show_progress": False}
    settings |= {"checkpoint_dir": str(folder / "checkpoints"), "state": "ERROR"}
    sys.argv = sys.argv[:1]
    config = Config("BPR", "thinned", config_dict=settings)
    data = create_dataset(config)
    kept = adapters.to_arrow(run, thinned=True)
    assert len(data.inter_feat) == rows == len(kept)
    assert float(data.inter_feat["is_synthetic"].sum()) == sum(kept["is_synthetic"].to_pylist())
    assert data.num("category") == 4  # RecBole adds one for padding
    train, valid, _ = data_preparation(config, data)
    best, _ = Trainer(config, BPR(config, train.dataset)).fit(train, valid, saved=False, show_progress=False)
    assert 0 < best < 1
    return "atomic files, BPR"


def lightfm(run: Path, folder: Path) -> str:
    """Interactions and sample weights, WARP."""
    from lightfm import LightFM

    data = adapters.to_lightfm(run)
    assert_same(cells(data.weights, data.users.to_pylist(), data.items.to_pylist()), pair_weights(run))
    users = np.zeros(len(data.items), np.int32)
    scores = []
    for weights in (data.weights, None):
        model = LightFM(no_components=8, loss="warp", random_state=1)
        model.fit(data.interactions, sample_weight=weights, epochs=2, num_threads=1)
        scores.append(model.predict(users, np.arange(len(data.items), dtype=np.int32)))
    assert np.isfinite(scores[0]).all()
    assert not np.allclose(*scores)
    return "COO pair, WARP with sample_weight"


CHECKS = {"RecTools": rectools, "lenskit": lenskit, "replay-rec": replay, "recbole": recbole, "lightfm": lightfm}
MAY_LACK = {"lightfm": "it is built from source: needs a C compiler"}


def check_all() -> int:
    """Run every check and return the exit code."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="scalr-compat-") as name:
        folder = Path(name)
        run = make_run(folder)
        os.chdir(folder)  # some libraries write logs where they are started
        for package, check in CHECKS.items():
            try:
                found = version(package)
            except PackageNotFoundError:
                print(f"{package}: not installed; {MAY_LACK.get(package, 'make compat installs it')}", flush=True)
                if package not in MAY_LACK:
                    return 1
                continue
            print(f"{package} {found}: {check(run, folder)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(check_all())
