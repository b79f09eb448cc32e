"""Real and synthetic events in the forms of other libraries, weighted as each library expects, or thinned.

`ADAPTERS` lists them; `scalr export RUN --to NAME` writes files, and the functions here return the libraries' objects.
Each takes a run's folder and the options of `read_run`, or the `TrainingEvents` that `read_run` returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scalr.adapters import atomic, frames, labelled, pairs, toolkits
from scalr.adapters.pairs import Matrix, WeightedInteractions
from scalr.adapters.reading import read_run
from scalr.adapters.registry import ADAPTERS, Adapter, get_adapter
from scalr.adapters.training_events import TrainingEvents
from scalr.foundation import Board, ConfigError, SilentBoard, require_extra
from scalr.runs import check_free, finished_folder, write_json

if TYPE_CHECKING:
    import datasets
    import duckdb
    import lightgbm
    import pandas
    import polars

    from scalr.adapters.loader import EventBatches

EXPORT_SCHEMA = "scalr.export/1"
Run = str | Path | TrainingEvents
"""A folder of a run, or the result of `read_run`."""

__all__ = [
    "ADAPTERS",
    "Adapter",
    "Matrix",
    "TrainingEvents",
    "WeightedInteractions",
    "export",
    "get_adapter",
    "read_run",
    "to_arrow",
    "to_duckdb",
    "to_huggingface",
    "to_implicit",
    "to_lenskit",
    "to_libsvm",
    "to_lightfm",
    "to_lightgbm",
    "to_pandas",
    "to_polars",
    "to_recbole",
    "to_rectools",
    "to_replay",
    "to_torch",
]


def export(run: Run, to: str, out: str | Path, *, board: Board | None = None, **options: Any) -> dict[str, Any]:
    """Write the events of a run for a library into a new folder, with a description in `export.json`.

    Args:
        run: Output folder of `scalr generate` or `scalr run`.
        to: Name of an adapter, see `ADAPTERS`.
        out: New or empty folder.
        board: Shows the progress.
        options: Options of `read_run`.

    Returns:
        The content of `export.json`.

    Raises:
        ConfigError: If there is no such adapter or an option is out of range.
        InputError: If the run or its target log cannot be used.
        MissingExtraError: If writing needs a library that is not installed.
        OutputError: If the folder cannot become the output.
    """
    adapter, out, board = get_adapter(to), Path(out), board or SilentBoard()
    check_free(out)
    final = out.resolve()
    board.stage("reading the run")
    events = _events(run, options)
    if adapter.how == "thinning":
        events = events.as_thinned()
    board.stage(f"writing for {adapter.title}")
    with finished_folder(out) as folder:
        rows = adapter.write(events, folder, final.name)
        facts = {
            "schema": EXPORT_SCHEMA,
            "to": adapter.name,
            **adapter.described(),
            "run": str(run) if not isinstance(run, TrainingEvents) else run.name,
            "rows": rows,
            "synthetic_weight": events.settings.synthetic_weight,
            "shrinkage": events.settings.shrinkage,
            "seed": events.seed,
            "thinned": events.thinned,
            "notes": [*events.notes, *adapter.warn(events)],
            "load": adapter.load.format(out=out, name=final.name, parent=final.parent),
        }
        write_json(folder / "export.json", facts)
    return facts


def to_arrow(run: Run, **options: Any) -> pa.Table:
    """Return the target log's columns, `is_synthetic` and `weight` as an Arrow table; options as of `read_run`."""
    return frames.arrow(_events(run, options))


def to_pandas(run: Run, **options: Any) -> pandas.DataFrame:
    """Return this table as a pandas frame."""
    return frames.pandas_frame(_events(run, options))


def to_polars(run: Run, **options: Any) -> polars.DataFrame:
    """Return this table as a Polars frame."""
    return frames.polars_frame(_events(run, options))


def to_duckdb(run: Run, *, connection: Any = None, **options: Any) -> duckdb.DuckDBPyRelation:
    """Return this table as a relation of a DuckDB connection; a new connection in memory if None."""
    return frames.duckdb_relation(_events(run, options), connection)


def to_huggingface(run: Run, **options: Any) -> datasets.Dataset:
    """Return this table as a Hugging Face data set in memory."""
    return frames.huggingface_dataset(_events(run, options))


def to_torch(run: Run, *, batch_size: int = 4096, shuffle: bool = True, **options: Any) -> EventBatches:
    """Return an `IterableDataset` of batches with weights; see `scalr.adapters.loader.EventBatches`.

    Raises:
        MissingExtraError: If torch is not installed.
    """
    require_extra("torch", "torch")
    from scalr.adapters.loader import EventBatches

    return EventBatches(_events(run, options), batch_size, shuffle=shuffle)


def to_implicit(run: Run, **options: Any) -> Matrix:
    """Return the user-item matrix of `implicit`; its values are the weights.

    `implicit` gives unobserved pairs the confidence 1. Pass the model an `alpha` that raises weights above 1, such as
    40.
    """
    return pairs.implicit_matrix(_events(run, options))


def to_lightfm(run: Run, **options: Any) -> WeightedInteractions:
    """Return interactions and `sample_weight` for LightFM, in one order."""
    return pairs.lightfm_interactions(_events(run, options))


def to_rectools(run: Run, **options: Any) -> Any:
    """Return a RecTools `Dataset` with weights."""
    return toolkits.rectools_dataset(_events(run, options))


def to_lenskit(run: Run, **options: Any) -> Any:
    """Return a LensKit `Dataset` whose ratings are the weights, for models with `use_ratings=True`."""
    return toolkits.lenskit_dataset(_events(run, options))


def to_replay(run: Run, **options: Any) -> Any:
    """Return a RePlay `Dataset` whose ratings are the weights."""
    return toolkits.replay_dataset(_events(run, options))


def to_recbole(run: Run, folder: str | Path, **options: Any) -> int:
    """Write the atomic files of RecBole into a new folder and return the number of interactions.

    The folder gives the data set its name.

    Raises:
        OutputError: If the folder cannot become the output.
    """
    events = _events(run, options)
    with finished_folder(Path(folder)) as partial:
        return atomic.write_recbole(events, partial, Path(folder).resolve().name)


def to_libsvm(run: Run, folder: str | Path, **options: Any) -> int:
    """Write LIBSVM text with weights and the ids behind its features into a new folder; return the number of rows.

    Raises:
        OutputError: If the folder cannot become the output.
    """
    events = _events(run, options)
    with finished_folder(Path(folder)) as partial:
        return labelled.write_libsvm(events, partial)


def to_lightgbm(run: Run, *, params: dict[str, Any] | None = None, **options: Any) -> lightgbm.Dataset:
    """Return a LightGBM `Dataset` with weights; see `scalr.adapters.labelled` for features and negatives.

    Args:
        run: The run.
        params: Parameters of the data set, such as `{"max_bin": 63}`.
        options: Options of `read_run`.
    """
    return labelled.lightgbm_dataset(_events(run, options), params=params)


def _events(run: Run, options: dict[str, Any]) -> TrainingEvents:
    used = [name for name, value in options.items() if value is not None and value is not False]
    if not isinstance(run, TrainingEvents):
        return read_run(run, **options)
    if used:
        raise ConfigError(
            f"{', '.join(used)} is given for events that were read already",
            expected="options where the run is read",
            fix="pass them to read_run",
        )
    return run
