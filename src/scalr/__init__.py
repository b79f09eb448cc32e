"""Turn users' events of source domains into synthetic events of a sparse target domain, and train on both.

The steps, each a function from values to a value: `read_pair`, `split`, `fit`, `sample`, `refine`, `train`,
`evaluate`; `generate`, `study` and `run` chain them. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalr.config import AlignSettings as AlignSettings
    from scalr.config import ColumnSettings as ColumnSettings
    from scalr.config import ConversionSettings as ConversionSettings
    from scalr.config import EvaluateSettings as EvaluateSettings
    from scalr.config import NegativeSettings as NegativeSettings
    from scalr.config import RefineSettings as RefineSettings
    from scalr.config import RunSettings as RunSettings
    from scalr.config import SampleSettings as SampleSettings
    from scalr.config import SplitSettings as SplitSettings
    from scalr.config import Steps as Steps
    from scalr.config import StudySettings as StudySettings
    from scalr.config import TrainSettings as TrainSettings
    from scalr.config import TranslateSettings as TranslateSettings
    from scalr.conversion_job import run as run
    from scalr.conversions import conversion_study as conversion_study
    from scalr.domain import EventLog as EventLog
    from scalr.domain import Pair as Pair
    from scalr.errors import ConfigError as ConfigError
    from scalr.errors import InputError as InputError
    from scalr.errors import LeakError as LeakError
    from scalr.errors import MissingExtraError as MissingExtraError
    from scalr.errors import OutputError as OutputError
    from scalr.errors import ScalrError as ScalrError
    from scalr.errors import SchemaError as SchemaError
    from scalr.evaluate import evaluate as evaluate
    from scalr.pipeline import generate as generate
    from scalr.reading import read_pair as read_pair
    from scalr.recalibrate import fit_isotonic as fit_isotonic
    from scalr.recalibrate import fit_log_odds_shift as fit_log_odds_shift
    from scalr.recalibrate import log_odds_shift as log_odds_shift
    from scalr.refine import refine as refine
    from scalr.report import write_report as write_report
    from scalr.sample import sample as sample
    from scalr.schema import Columns as Columns
    from scalr.simulate import simulate as simulate
    from scalr.split import Fold as Fold
    from scalr.split import Split as Split
    from scalr.split import split as split
    from scalr.study import study as study
    from scalr.summary import summarise as summarise
    from scalr.sweeps import sweep as sweep
    from scalr.synthetic import SyntheticEvents as SyntheticEvents
    from scalr.train import train as train
    from scalr.translation_quality import translation_quality as translation_quality
    from scalr.translators import fit as fit

__version__ = "0.1.0"

_PUBLIC = {
    "config": (
        "AlignSettings",
        "ColumnSettings",
        "ConversionSettings",
        "EvaluateSettings",
        "NegativeSettings",
        "RefineSettings",
        "RunSettings",
        "SampleSettings",
        "SplitSettings",
        "Steps",
        "StudySettings",
        "TrainSettings",
        "TranslateSettings",
    ),
    "conversion_job": ("run",),
    "conversions": ("conversion_study",),
    "domain": ("EventLog", "Pair"),
    "errors": (
        "ConfigError",
        "InputError",
        "LeakError",
        "MissingExtraError",
        "OutputError",
        "ScalrError",
        "SchemaError",
    ),
    "evaluate": ("evaluate",),
    "pipeline": ("generate",),
    "reading": ("read_pair",),
    "recalibrate": ("fit_isotonic", "fit_log_odds_shift", "log_odds_shift"),
    "refine": ("refine",),
    "report": ("write_report",),
    "sample": ("sample",),
    "schema": ("Columns",),
    "simulate": ("simulate",),
    "split": ("Fold", "Split", "split"),
    "study": ("study",),
    "summary": ("summarise",),
    "sweeps": ("sweep",),
    "synthetic": ("SyntheticEvents",),
    "train": ("train",),
    "translation_quality": ("translation_quality",),
    "translators": ("fit",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]  # noqa: PLE0604 - built from the table above


class _Package(ModuleType):
    """The package itself: loads public names on first use, and keeps them when a module has the same name.

    Importing `scalr.study` makes Python set the attribute `study` of the package to that module, which would hide
    the function `scalr.study`. Such assignments are passed over: `scalr.study` is the function in any order of
    imports, and `from scalr.study import ...` finds the module in `sys.modules` as always.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package
