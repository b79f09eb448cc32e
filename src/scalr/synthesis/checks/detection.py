"""Can a classifier tell synthetic rows from real ones by their columns? Which columns give them away?

A model that is given such a column learns to treat synthetic rows as another kind, and what they teach stays with
them. Users and items are what rows are about, so their ids are not looked at; nor are the columns of
`SYNTHETIC_COLUMNS` (`is_synthetic`, `weight`, `confidence`, `support`, source ids, `draw`, `generation_id`), which tell
by definition and must not be features of any model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scalr.foundation import Board, ConfigError, Floats, Int64, Keys, Mask, SchemaError, require_extra, rng
from scalr.logs import (
    SYNTHETIC_COLUMNS,
    Columns,
    count_rows,
    file_digest,
    find_columns,
    open_table,
    read_batches,
    typed_keys,
)
from scalr.synthesis.checks.column_signs import Signs, signs_of
from scalr.synthesis.checks.separation import Separation, clustered_auc

LeakCheck = Literal["off", "report", "drop"]
MOST_ROWS = 200_000  # of both kinds together
THRESHOLD = 0.6  # a column is leaky where the lower end of its interval is above
FOLDS = 5  # of users: nobody is judged by a classifier that saw a row of the same user
SMOOTHING = 2.0  # rows of each kind that every cell is given
ROUNDS, LEAVES = 60, 15  # of the boosted trees
MOST_OF_IT = 0.9  # share of what a column tells that one sign alone explains


@dataclass(frozen=True, slots=True)
class ColumnLeak:
    """What one column tells.

    Attributes:
        name: Its name.
        separation: AUC of real against synthetic rows by this column alone, cross-fitted.
        is_leaky: Whether the interval is above the threshold.
        is_needed: Whether it plays a role, so that it is never dropped.
        sign: What tells: "nulls", "fineness" (decimals, trailing zeros, steps of time) or "values".
    """

    name: str
    separation: Separation
    is_leaky: bool
    is_needed: bool
    sign: str

    def to_json(self) -> dict[str, Any]:
        """Return the column for the manifest."""
        flags = {"is_leaky": self.is_leaky, "is_needed": self.is_needed, "sign": self.sign}
        return {"name": self.name, **self.separation.to_json(), **flags}


@dataclass(frozen=True, slots=True)
class Leaks:
    """What gives synthetic rows away.

    Attributes:
        before: AUC of the classifier on all columns that were looked at.
        after: That without `droppable`; None where there is nothing to drop.
        columns: Every column by itself, the most telling first.
        rows: Rows that were looked at, by kind.
        classifier: "lightgbm", or "logistic" where LightGBM is not installed.
        threshold: See `ColumnLeak.is_leaky`.
    """

    before: Separation
    after: Separation | None
    columns: tuple[ColumnLeak, ...]
    rows: Mapping[str, int]
    classifier: str
    threshold: float = THRESHOLD

    @property
    def droppable(self) -> tuple[str, ...]:
        """Return the leaky columns that play no role."""
        return tuple(one.name for one in self.columns if one.is_leaky and not one.is_needed)

    def to_json(self) -> dict[str, Any]:
        """Return all of it for the manifest."""
        return {
            "before": self.before.to_json(),
            "after": None if self.after is None else self.after.to_json(),
            "columns": [one.to_json() for one in self.columns],
            "droppable": list(self.droppable),
            "rows": dict(self.rows),
            "classifier": self.classifier,
            "threshold": self.threshold,
        }

    def sentences(self, *, dropped: bool = False) -> tuple[str, ...]:
        """Return what was found in words.

        Args:
            dropped: Whether the droppable columns were dropped.
        """
        found = [f"By their columns a classifier tells synthetic rows from real ones with AUC {_words(self.before)}."]
        for one in self.columns:
            if one.is_leaky:
                kept = " It plays a role and stays." if one.is_needed else ""
                found.append(f"'{one.name}' alone gives AUC {_words(one.separation)}, by its {one.sign}.{kept}")
        if self.after is not None:
            names = ", ".join(f"'{name}'" for name in self.droppable)
            done = "Dropped" if dropped else "Not to be used as features, or to be dropped (--drop-leaky)"
            found.append(f"{done}: {names}; without them AUC is {_words(self.after)}.")
        return tuple(found)


def _words(one: Separation) -> str:
    return f"{one.auc:.3f} [{one.low:.3f}, {one.high:.3f}]"


def find_leaks(
    real: Any,
    synthetic: Any,
    columns: Columns | None = None,
    *,
    threshold: float = THRESHOLD,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> Leaks:
    """Tell real from synthetic rows by the columns that both have, cross-fitted by users.

    Large logs are sampled by a hash of the user. Real rows with label 0 are left out.

    Args:
        real: The target log: path, glob, folder or frame.
        synthetic: Synthetic events in layout `target`, likewise.
        columns: Which columns play a role; common names are found without.
        threshold: See `ColumnLeak.is_leaky`; in (0.5, 1).
        most_rows: Rows to look at, of both kinds together.
        seed: Chooses users and folds.

    Example:
        >>> import scalr
        >>> from scalr.synthesis.checks.detection import find_leaks
        >>> world = scalr.simulate(n_users=200, seed=1)
        >>> found = find_leaks(world.target, scalr.generate(world.source, world.target).table())
        >>> sorted(one.name for one in found.columns)
        ['time', 'value']

    Raises:
        SchemaError: If a column that is named is missing, or one side has no rows.
        MissingExtraError: If neither LightGBM nor scikit-learn is installed.
    """
    columns = find_columns(open_table(real, "target"), columns or Columns(), Columns())
    tables = [
        _sampled(given, role, columns, most_rows // 2, seed)
        for given, role in ((real, "target"), (synthetic, "synthetic"))
    ]
    (of_real, real_keys), (of_synthetic, synthetic_keys) = tables
    is_synthetic = np.repeat([False, True], [len(of_real), len(of_synthetic)])
    keys = np.concatenate([real_keys, synthetic_keys])
    _, cluster = np.unique(keys, return_inverse=True)
    fold = (rng.keyed_units(seed, rng.Purpose.LEAK_FOLDS, keys) * FOLDS).astype(np.int64)
    roles = {name: role for role, name in columns.roles() if name}
    unseen = {*SYNTHETIC_COLUMNS, columns.user, columns.item, columns.label, columns.weight}
    names = [name for name in of_real.column_names if name in of_synthetic.column_names and name not in unseen]
    signs = {name: signs_of(_joined(of_real[name], of_synthetic[name])) for name in names}

    def told(score: Floats) -> Separation:
        return clustered_auc(is_synthetic, score, cluster)

    found = []
    for name, one in signs.items():
        separation = told(_log_odds(one.cells(), is_synthetic, fold))
        is_leaky = separation.low > threshold
        sign = _sign(one, separation, is_synthetic, fold, cluster) if is_leaky else "values"
        found.append(ColumnLeak(name, separation, is_leaky, roles.get(name, "value") != "value", sign))
    found.sort(key=lambda one: (-one.separation.auc, one.name))
    classifier = "lightgbm" if find_spec("lightgbm") else "logistic"
    before = told(_classified(list(signs.values()), is_synthetic, fold, classifier, seed))
    dropped = {one.name for one in found if one.is_leaky and not one.is_needed}
    left = [one for name, one in signs.items() if name not in dropped]
    after = told(_classified(left, is_synthetic, fold, classifier, seed)) if dropped else None
    rows = {"real": len(of_real), "synthetic": len(of_synthetic)}
    return Leaks(before, after, tuple(found), rows, classifier, threshold)


def _sampled(given: Any, role: str, columns: Columns, most: int, seed: int) -> tuple[pa.Table, Keys]:
    """Return the rows of hashed users, about `most` at most, and the keys of their users."""
    opened = open_table(given, role)
    assert columns.user is not None  # found before
    if columns.user not in opened.schema.names:
        raise SchemaError(
            f"{opened.name} has no column '{columns.user}' (it has {', '.join(opened.schema.names)})",
            expected="the column of user ids in real and synthetic rows",
            fix="compare with events in layout 'target', made for this log",
        )
    total = count_rows(opened)
    share = 1.0 if not total else min(most / total, 1.0)
    tables, keys = [], []
    for batch in read_batches(opened, opened.schema.names, as_text=[columns.user]):
        of_user = _keys(batch[columns.user])
        keep = rng.keyed_units(seed, rng.Purpose.LEAK_SAMPLE, of_user) < share
        if columns.label and columns.label in batch.column_names:
            keep &= pc.equal(batch[columns.label].cast(pa.float64()), 1).fill_null(False).to_numpy()
        tables.append(batch.filter(pa.array(keep)))
        keys.append(of_user[keep])
    table = pa.concat_tables(tables, promote_options="permissive") if tables else opened.schema.empty_table()
    if not len(table):
        raise SchemaError(f"{opened.name} has no rows to compare", expected="positive rows", fix="give a larger log")
    return table, np.concatenate(keys)


def _keys(ids: pa.ChunkedArray) -> Keys:
    """Return keys of ids, the same for a number and its text."""
    coded = ids.combine_chunks()
    coded = coded.cast(coded.type.value_type) if pa.types.is_dictionary(coded.type) else coded
    coded = coded.dictionary_encode()
    wide = pa.int64() if pa.types.is_integer(coded.type.value_type) else pa.large_string()
    of_id: Keys = typed_keys(coded.dictionary.cast(wide))
    found: Keys = of_id[coded.indices.fill_null(0).to_numpy()]
    return found


def _joined(real: pa.ChunkedArray, synthetic: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put one column of both under each other; where types differ, as texts."""
    kinds = real.type, synthetic.type
    if kinds[0] != kinds[1]:
        kind = pa.float64() if all(map(_is_number, kinds)) else pa.large_string()
        real, synthetic = (one if one.type == kind else one.cast(kind, safe=False) for one in (real, synthetic))
    return pa.chunked_array([*real.chunks, *synthetic.chunks], real.type)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _log_odds(cell: npt.NDArray[np.int32], is_synthetic: Mask, fold: Int64) -> Floats:
    """Return each row's log-odds of being synthetic by its cell among the users of other folds, shape (n,)."""
    n_cells, score = int(cell.max()) + 1, np.zeros(len(cell))
    for one in range(FOLDS):
        inside, shares = fold == one, []
        for kind in (is_synthetic, ~is_synthetic):
            counts = np.bincount(cell[kind & ~inside], minlength=n_cells) + SMOOTHING
            shares.append(counts / counts.sum())
        score[inside] = np.log(shares[0] / shares[1])[cell[inside]]
    return score


def _sign(signs: Signs, whole: Separation, is_synthetic: Mask, fold: Int64, cluster: Int64) -> str:
    """Return the plainest sign that explains most of what the column tells."""
    for name, form in (("nulls", np.minimum(signs.form, 1)), ("fineness", signs.form)):
        told = clustered_auc(is_synthetic, _log_odds(form, is_synthetic, fold), cluster)
        if told.auc - 0.5 > MOST_OF_IT * (whole.auc - 0.5):
            return name
    return "values"


def _classified(signs: Sequence[Signs], is_synthetic: Mask, fold: Int64, classifier: str, seed: int) -> Floats:
    """Return each row's score by a classifier that saw the other folds alone, shape (n,); zeros without columns."""
    score = np.zeros(len(fold))
    if not signs:
        return score
    fit = _boosted if classifier == "lightgbm" else _logistic
    for one in range(FOLDS):
        inside = fold == one
        if inside.any() and len(np.unique(is_synthetic[~inside])) == 2:
            score[inside] = fit(signs, is_synthetic, inside, seed)
    return score


def _boosted(signs: Sequence[Signs], is_synthetic: Mask, inside: Mask, seed: int) -> Floats:
    lightgbm = require_extra("lightgbm", "models")
    table = np.stack([column for one in signs for column in (one.value, one.form)], axis=1)
    data = lightgbm.Dataset(
        table[~inside],
        is_synthetic[~inside].astype(np.float64),
        categorical_feature=[2 * place for place, one in enumerate(signs) if one.is_text],
        params={"verbose": -1, "num_threads": 1},
    )
    parameters = {
        "objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.1, "verbose": -1, "seed": seed % (1 << 31),
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "is_unbalance": True,
    }  # fmt: skip
    booster = lightgbm.train(parameters, data, ROUNDS)
    score: Floats = booster.predict(table[inside], raw_score=True, num_threads=1)
    return score


def _logistic(signs: Sequence[Signs], is_synthetic: Mask, inside: Mask, seed: int) -> Floats:
    require_extra("sklearn", "models")
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    rows = np.arange(len(inside))
    cells = [one.cells() for one in signs]
    table = hstack([csr_matrix((np.ones(len(rows)), (rows, cell))) for cell in cells]).tocsr()
    model = LogisticRegression(max_iter=200, class_weight="balanced").fit(table[~inside], is_synthetic[~inside])
    score: Floats = model.decision_function(table[inside])
    return score


def refuse_unfit(check: LeakCheck, layout: str) -> None:
    """Refuse to look for leaks where that cannot be done, before anything is made.

    Raises:
        ConfigError: If the layout has no columns of the target log.
        MissingExtraError: If there is no classifier.
    """
    if check == "off":
        return
    if layout != "target":
        raise ConfigError(
            f"leaks is '{check}', but layout '{layout}' has no columns of the target log",
            expected="layout 'target' where columns are compared with the target log's",
            fix="write with --layout target, or do not look for leaks",
        )
    if not find_spec("lightgbm"):
        require_extra("sklearn", "models")


def check_written(
    check: LeakCheck, target: Any, columns: Columns, digests: Mapping[Path, str], board: Board
) -> tuple[dict[str, Any], Mapping[Path, str]]:
    """Look for leaks in files that were just written; drop columns where asked to.

    Args:
        check: What to do.
        target: The target log.
        columns: Its columns.
        digests: The part files, with their SHA-256.
        board: Where progress is shown.

    Returns:
        What was found, for the manifest, with `sentences` and whether columns were `dropped`; nothing where nothing was
        looked for, or no row was written. And the digests of the files as they are now.
    """
    files = sorted(digests)
    if check == "off" or not sum(pq.read_metadata(file).num_rows for file in files):
        return {}, digests
    board.stage("looking for columns that give synthetic rows away")
    found = find_leaks(target, str(files[0].parent), columns)
    is_dropped = check == "drop" and bool(found.droppable)
    if is_dropped:
        digests = drop_columns(files, found.droppable)
    return {**found.to_json(), "dropped": is_dropped, "sentences": list(found.sentences(dropped=is_dropped))}, digests


def drop_columns(files: Iterable[Path], names: Sequence[str]) -> dict[Path, str]:
    """Write Parquet files anew without some columns, row group by row group; return their SHA-256."""
    digests = {}
    for file in files:
        slimmer = file.with_suffix(".slimmer")
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            kept = [one.name for one in schema if one.name not in names]
            with pq.ParquetWriter(slimmer, pa.schema([schema.field(name) for name in kept]), compression="zstd") as out:
                for group in range(opened.num_row_groups):
                    table = opened.read_row_group(group, columns=kept, use_threads=False)
                    out.write_table(table, row_group_size=len(table) or None)
        slimmer.replace(file)
        digests[file] = file_digest(file)
    return digests
