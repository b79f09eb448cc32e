"""Detection: can a classifier distinguish synthetic from real rows by their columns, and which columns reveal it?

A model with such a column as a feature can treat synthetic rows separately and then transfers nothing from them. The
check excludes the ids of users and items, and the columns of `SYNTHETIC_COLUMNS` (`is_synthetic`, `weight`,
`confidence`, `support`, source ids, `draw`, `generation_id`), which are synthetic by definition and must not be
features of any model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scalr.foundation import Board, Codes, ConfigError, Floats, Int64, Keys, Mask, SchemaError, require_extra, rng
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
THRESHOLD = 0.6  # a column is leaky if the lower end of its interval is above
FOLDS = 5  # of users: no classifier scores users of its training rows
SMOOTHING = 2.0  # rows of each kind added to every cell
ROUNDS, LEAVES = 60, 15  # of the boosted trees
MOST_OF_IT = 0.9  # least share of a column's AUC above 0.5 that a single sign must explain


@dataclass(frozen=True, slots=True)
class ColumnLeak:
    """Detection by one column.

    Attributes:
        name: Its name.
        separation: AUC of real against synthetic rows by this column alone, cross-fitted.
        is_leaky: Whether the interval is above the threshold.
        is_needed: Whether it has a role, so that it is never dropped.
        sign: What reveals synthetic rows: "nulls", "fineness" (decimals, trailing zeros, steps of time) or "values".
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
    """Result of the detection check.

    Attributes:
        before: AUC of the classifier on all compared columns.
        after: AUC without `droppable`; None if there is nothing to drop.
        columns: Each column alone, by descending AUC.
        rows: Number of compared rows, by kind.
        classifier: "lightgbm", or "logistic" if LightGBM is not installed.
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
        """Return the leaky columns without a role."""
        return tuple(one.name for one in self.columns if one.is_leaky and not one.is_needed)

    def to_json(self) -> dict[str, Any]:
        """Return the result for the manifest."""
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
        """Return the result in words.

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
    """Distinguish real from synthetic rows by their common columns, cross-fitted by users.

    Large logs are sampled by a hash of the user. Real rows with label 0 are excluded.

    Args:
        real: The target log: path, glob, folder or frame.
        synthetic: Synthetic events in layout `target`, likewise.
        columns: Columns with a role; recognised by common names if None.
        threshold: See `ColumnLeak.is_leaky`; in (0.5, 1).
        most_rows: Most rows to compare, of both kinds together.
        seed: Chooses users and folds.

    Example:
        >>> import scalr
        >>> from scalr.synthesis.checks.detection import find_leaks
        >>> world = scalr.simulate(n_users=200, seed=1)
        >>> found = find_leaks(world.target, scalr.generate(world.source, world.target).table())
        >>> sorted(one.name for one in found.columns)
        ['time', 'value']

    Raises:
        SchemaError: If a named column is missing, or one side has no rows.
        MissingExtraError: If neither LightGBM nor scikit-learn is installed.
    """
    columns = find_columns(open_table(real, "target"), columns or Columns(), Columns())
    tables = [
        _sampled(given, role, columns, most_rows // 2, seed)
        for given, role in ((real, "target"), (synthetic, "synthetic"))
    ]
    (of_real, real_keys), (of_synthetic, synthetic_keys) = tables
    kinds = _Kinds.from_keys(real_keys, synthetic_keys, seed)
    roles = {name: role for role, name in columns.roles() if name}
    unseen = {*SYNTHETIC_COLUMNS, columns.user, columns.item, columns.label, columns.weight}
    names = [name for name in of_real.column_names if name in of_synthetic.column_names and name not in unseen]
    signs = {name: signs_of(_joined(of_real[name], of_synthetic[name])) for name in names}
    leaks = [_column_leak(name, column, kinds, roles.get(name), threshold) for name, column in signs.items()]
    leaks.sort(key=lambda leak: (-leak.separation.auc, leak.name))
    classifier = "lightgbm" if find_spec("lightgbm") else "logistic"
    before = kinds.separation(_classified(list(signs.values()), kinds, classifier, seed))
    dropped = {leak.name for leak in leaks if leak.is_leaky and not leak.is_needed}
    rest = [column for name, column in signs.items() if name not in dropped]
    after = kinds.separation(_classified(rest, kinds, classifier, seed)) if dropped else None
    rows = {"real": len(of_real), "synthetic": len(of_synthetic)}
    return Leaks(before, after, tuple(leaks), rows, classifier, threshold)


@dataclass(frozen=True, slots=True, eq=False)
class _Kinds:
    """Kind, fold and user of all rows, shape (n,) each; real rows first."""

    is_synthetic: Mask
    fold: Int64
    cluster: Int64

    @classmethod
    def from_keys(cls, real: Keys, synthetic: Keys, seed: int) -> _Kinds:
        """Assign folds to rows by the keys of their users."""
        keys = np.concatenate([real, synthetic])
        _, cluster = np.unique(keys, return_inverse=True)
        fold = (rng.keyed_units(seed, rng.Purpose.LEAK_FOLDS, keys) * FOLDS).astype(np.int64)
        return cls(np.repeat([False, True], [len(real), len(synthetic)]), fold, cluster)

    def separation(self, score: Floats) -> Separation:
        """Return the AUC of a score, shape (n,)."""
        return clustered_auc(self.is_synthetic, score, self.cluster)


def _column_leak(name: str, column: Signs, kinds: _Kinds, role: str | None, threshold: float) -> ColumnLeak:
    separation = kinds.separation(_log_odds(column.cells(), kinds))
    is_leaky = separation.low > threshold
    sign = _sign(column, separation, kinds) if is_leaky else "values"
    return ColumnLeak(name, separation, is_leaky, (role or "value") != "value", sign)


def _sampled(given: Any, role: str, columns: Columns, most: int, seed: int) -> tuple[pa.Table, Keys]:
    """Return the rows of a sample of users, about `most` rows, and the keys of their users."""
    opened = open_table(given, role)
    assert columns.user is not None  # `find_columns` requires it
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
    """Return keys of ids, equal for a number and its text."""
    coded = ids.combine_chunks()
    coded = coded.cast(coded.type.value_type) if pa.types.is_dictionary(coded.type) else coded
    coded = coded.dictionary_encode()
    wide = pa.int64() if pa.types.is_integer(coded.type.value_type) else pa.large_string()
    of_id: Keys = typed_keys(coded.dictionary.cast(wide))
    found: Keys = of_id[coded.indices.fill_null(0).to_numpy()]
    return found


def _joined(real: pa.ChunkedArray, synthetic: pa.ChunkedArray) -> pa.ChunkedArray:
    """Concatenate a column of both tables, as numbers or texts if the types differ."""
    kinds = real.type, synthetic.type
    if kinds[0] != kinds[1]:
        kind = pa.float64() if all(map(_is_number, kinds)) else pa.large_string()
        real, synthetic = (one if one.type == kind else one.cast(kind, safe=False) for one in (real, synthetic))
    return pa.chunked_array([*real.chunks, *synthetic.chunks], real.type)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _log_odds(cell: Codes, kinds: _Kinds) -> Floats:
    """Return each row's log-odds of being synthetic, from the rows of other folds in its cell, shape (n,)."""
    n_cells, score = int(cell.max()) + 1, np.zeros(len(cell))
    for fold in range(FOLDS):
        inside, shares = kinds.fold == fold, []
        for kind in (kinds.is_synthetic, ~kinds.is_synthetic):
            counts = np.bincount(cell[kind & ~inside], minlength=n_cells) + SMOOTHING
            shares.append(counts / counts.sum())
        score[inside] = np.log(shares[0] / shares[1])[cell[inside]]
    return score


def _sign(signs: Signs, whole: Separation, kinds: _Kinds) -> str:
    """Return the simplest sign that explains most of the column's separation."""
    for name, form in (("nulls", np.minimum(signs.form, 1)), ("fineness", signs.form)):
        separation = kinds.separation(_log_odds(form, kinds))
        if separation.auc - 0.5 > MOST_OF_IT * (whole.auc - 0.5):
            return name
    return "values"


def _classified(signs: Sequence[Signs], kinds: _Kinds, classifier: str, seed: int) -> Floats:
    """Return each row's score from a classifier fitted on the other folds, shape (n,); zeros without columns."""
    is_synthetic, score = kinds.is_synthetic, np.zeros(len(kinds.fold))
    if not signs:
        return score
    fit = _boosted if classifier == "lightgbm" else _logistic
    for fold in range(FOLDS):
        inside = kinds.fold == fold
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
        "objective": "binary",
        "num_leaves": LEAVES,
        "learning_rate": 0.1,
        "verbose": -1,
        "seed": seed % (1 << 31),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "is_unbalance": True,
    }
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
    """Check before a run that the detection check is possible.

    Raises:
        ConfigError: If the layout has no columns of the target log.
        MissingExtraError: If no classifier is installed.
    """
    if check == "off":
        return
    if layout != "target":
        raise ConfigError(
            f"leaks is '{check}', but layout '{layout}' has no columns of the target log",
            expected="layout 'target', whose columns can be compared with those of the target log",
            fix="write with --layout target, or omit --check-leaks",
        )
    if not find_spec("lightgbm"):
        require_extra("sklearn", "models")


def check_written(
    check: LeakCheck, target: Any, columns: Columns, digests: Mapping[Path, str], board: Board
) -> tuple[dict[str, Any], Mapping[Path, str]]:
    """Check written files for leaky columns, and drop these with `check` 'drop'.

    Args:
        check: "off", "report" or "drop".
        target: The target log.
        columns: Its columns.
        digests: The part files, with their SHA-256.
        board: Shows progress.

    Returns:
        The result for the manifest, with `sentences` and whether columns were `dropped`; empty with "off" or without
        rows. And the digests of the files after the check.
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
    """Rewrite Parquet files without some columns, by row groups; return their SHA-256."""
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
