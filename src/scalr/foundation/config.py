"""Settings of every step: names, defaults, bounds, explanations and command-line options, each declared once.

The first paragraph of a field's docstring is the help of its option; all of it is the comment in a configuration file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

import pydantic
from pydantic import BeforeValidator, Field

from scalr.foundation.generation_settings import (  # noqa: F401 - all settings can be imported from here
    AlignSettings,
    NegativeSettings,
    PrivacySettings,
    RefineSettings,
    SampleSettings,
    TranslateSettings,
)
from scalr.foundation.validation import Count, NonNegative, OpenShare, Option, Positive, Seed, Settings, Share


def _instant_text(value: Any) -> Any:
    """Return a date or an integer, which is how YAML reads some instants, as text."""
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class SplitSettings(Settings):
    """How the logs are split for evaluation."""

    @pydantic.model_validator(mode="after")
    def _leave_something_to_fit(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share that sum to less than 1")
        return self

    by: Annotated[Literal["auto", "time", "per_user", "random"], Option("--split")] = "auto"
    """How the logs are split: `time` at one instant for all users, `per_user` before each user's own last events,
    `random` by pairs of user and item; `auto` is `per_user` where the time column orders the events of each user only,
    and `time` otherwise.

    A split per user is not a split by time: training uses events of other users that may be later than the evaluated
    ones. `random` is for logs without times. See docs/splits.md."""
    test_share: Annotated[OpenShare, Option("--test-share")] = 0.2
    """Share of the target events, the latest, in the test period.

    If the split is per user, it is a share of each user's target events."""
    validation_share: OpenShare = 0.1
    """Share of the target events, those just before the test period, in the validation period."""
    test_from: Annotated[str | None, BeforeValidator(_instant_text), Option("--test-from", metavar="DATE")] = None
    """First instant of the test period, instead of a share of the events.

    An ISO date, or a number in the unit of the time column."""
    hide_overlap: Annotated[Share, Option("--hide-overlap")] = 0.0
    """Share of the overlap users whose target history is hidden, as a cold-start test with known outcomes."""


class TrainSettings(Settings):
    """How a downstream model learns from real and synthetic events."""

    model: Annotated[str, Option("--model", metavar="NAME")] = "mf"
    """Downstream model: mf; with the extra `models` lightgbm, implicit_als; with the extra `torch` two_tower,
    wide_deep, deepfm, dcn_v2, sasrec.

    See docs/models.md."""
    objective: Annotated[Literal["auxiliary", "joint", "thinned"], Option("--objective")] = "auxiliary"
    """How the model uses synthetic events: with an auxiliary head, jointly with weights, or thinned.

    `auxiliary`: real and synthetic events share factors; synthetic events have their own intercept and item biases,
    which prediction drops. `joint`: one weighted head. `thinned`: one head, each synthetic event retained with
    probability λ and weight 1."""
    loss: Annotated[Literal["binary", "in_batch"] | None, Option("--loss")] = None
    """Loss that training minimises: `binary`, or `in_batch` for two_tower only.

    `binary`: cross entropy of a positive and its uniform negatives. `in_batch`: softmax over the items of the batch
    with logQ correction; 5 % of the real rows fit scale and offset. null for the default of the model."""
    synthetic_weight: Annotated[NonNegative, Option("--synthetic-weight")] = 0.3
    """Weight λ of every synthetic event; 0 trains on real events alone."""
    shrinkage: Annotated[
        Positive | None, Option("--shrinkage", metavar="κ", zero_is_null=True, note="0 for no shrinkage.")
    ] = 4.0
    """κ: weights are multiplied by κ / (κ + real target events of the user).

    null for no shrinkage."""
    dimensions: Annotated[int, Field(ge=1, le=1024)] = 16
    """Dimensions of the user and item factors or embeddings."""
    learning_rate: Positive | None = None
    """Step size; null for the default of the model (0.1 for `mf`)."""
    l2: NonNegative | None = None
    """L2 penalty on the parameters of users and items; null for the default of the model (0.05 for `mf`)."""
    synthetic_penalty: Share = 0.2
    """Share of the L2 penalty that applies to synthetic rows.

    Synthetic rows are many and have small weights: with the full penalty they shrink all factors to zero, those of
    users with real events included."""
    popularity_prior: Share | None = None
    """Share of their log popularity that items start at; null lets a study select it on real events of the validation
    period, and is 0 outside a study.

    In networks, synthetic rows start at the full log popularity."""
    half_life: Positive | None = None
    """Age at which the weight of a real event halves, as a share of the visible time span of the target log; null for
    equal weights.

    Recent events matter more where preferences change quickly. A study selects it on real events."""
    negatives: Count = 4
    """Uniform negatives per positive, for real and synthetic events alike."""
    max_epochs: Count | None = None
    """Upper bound on epochs; null for the default of the model (100 for `mf`)."""
    patience: Count | None = None
    """Early stopping: epochs without a lower validation loss; null for the default of the model (16 for `mf`).

    Half as many where synthetic rows make an epoch long."""
    batch_size: Count = 4096
    """Positives per gradient step, for models that learn in batches."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of models that can use a GPU; `auto` uses a GPU if there is one."""
    checkpoints: Annotated[str | None, Option("--checkpoints", metavar="DIR")] = None
    """Folder for checkpoints of every epoch of networks, from which an interrupted study resumes.

    null for none. A checkpoint takes the size of the network on disk."""


class EvaluateSettings(Settings):
    """How a trained model is evaluated."""

    negatives: Count = 4
    """Negatives per test positive for the predictive metrics, drawn from items that the user is not known to like."""
    top: Count = 20
    """Length of the ranked lists."""
    ranked_users: Annotated[int, Field(ge=0)] | None = None
    """Upper bound on the users whose ranked lists are evaluated, selected by a hash of their ids, the same for every
    model; 0 for none.

    null for all users where the model scores a catalogue at once, and for 100 users where it scores pair by pair."""


Arm = Literal[
    "real_only",
    "oversampled_real",
    "random_items",
    "popular_items",
    "shuffled_users",
    "top1",
    "scalr",
    "pooled",
    "item_knn",
    "distillation",
    "collective",
    "emcdr",
]
"""A way to train that a study compares; see `scalr.study`."""

ARMS: tuple[Arm, ...] = get_args(Arm)
RIVALS: tuple[Arm, ...] = ARMS[7:]
"""Arms that are conventional methods, without synthetic events."""
DEFAULT_ARMS: tuple[Arm, ...] = ARMS[:9]


class StudySettings(Settings):
    """What a study compares."""

    arms: tuple[Arm, ...] = DEFAULT_ARMS
    """Arms to train; `real_only` is always among them."""
    rival_trials: Annotated[Count, Option("--rival-trials", metavar="N")] = 6
    """Strengths that each conventional method may try.

    The conventional methods `pooled`, `item_knn`, `distillation`, `collective` and `emcdr` try them on the validation
    periods that settings are selected on."""
    seeds: Annotated[Count, Option("--seeds", metavar="N")] = 5
    """Repetitions of the comparison, each with its own seed.

    A seed fixes hidden users, initial parameters, draws and negatives, the same for all arms."""
    choosing_seeds: Count = 3
    """Number of seeds, the first ones, on whose validation periods settings are selected."""
    baseline_trials: Annotated[int, Field(ge=0, le=1000), Option("--baseline-trials", metavar="N")] = 36
    """Trials of the hyper-parameter search on real events alone, whose result all arms use; 0 for none.

    The search covers popularity prior, half-life, penalty and step size. 0 uses the settings of `train` unchanged."""
    trials: Annotated[Count, Option("--trials", metavar="N")] = 36
    """Translator `auto`: trials of the hyper-parameter search for synthetic events.

    The search covers translator, draws, temperature, weight, shrinkage and objective."""
    budget_seconds: Annotated[Positive | None, Option("--budget-seconds", metavar="S")] = None
    """Translator `auto`: start no new round of trials after this many seconds.

    null for no limit. With a limit, the selected settings depend on the speed of the machine."""
    gate: Annotated[bool | None, Option("--gate/--no-gate")] = None
    """Switch augmentation off for segments of users (warm, cold) without a gain on validation; on by default with the
    translator `auto` only.

    null for that default. Studies of impressions have the gate as well."""


ConversionArm = Literal["real_only", "random_items", "popular_items", "shuffled_users", "top1", "scalr"]
"""A way to train that a study of conversions compares."""

CONVERSION_ARMS: tuple[ConversionArm, ...] = get_args(ConversionArm)


class ConversionSettings(Settings):
    """How a study of a log of impressions (`scalr study --conversions`) trains and selects settings."""

    arms: tuple[ConversionArm, ...] = ("real_only", "random_items", "shuffled_users", "scalr")
    """Arms to train; `real_only` is always among them."""
    masses: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.3, 1.0, 3.0, 10.0)
    """Total weights of the synthetic events that each arm tries on the validation period, as multiples of the weight
    of all real conversions.

    They replace λ, which has little meaning where one log is a thousand times larger than the other."""
    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 3.0, 10.0)
    """L2 penalties of the logistic regression that each arm tries on the validation period.

    They are tried at the middle of `masses`; the other masses are then tried at the best penalty."""
    most_events: Count = 50_000
    """Upper bound on the synthetic events that a model learns from, each with negative rows beside it; a random sample
    is used if there are more."""
    per_positive: Count = 4
    """Upper bound on negative rows per synthetic event; a rate that needs more raises the weight of each row."""
    label_delay_days: Annotated[
        float, Field(ge=0.0, le=100_000.0, allow_inf_nan=False), Option("--label-delay-days", metavar="D")
    ] = 0.0
    """With --conversions: days until the label of an impression is final.

    Impressions younger than that at the start of a period are not used to fit for this period."""


class Steps(Settings):
    """Settings of every step between the logs and the evidence."""

    seed: Annotated[Seed, Option("--seed", metavar="N")] = 0
    """First seed; the same seed gives the same events."""
    split: SplitSettings = SplitSettings()
    """How the logs are split for evaluation."""
    translate: TranslateSettings = TranslateSettings()
    """How P(target item | user, source item) is estimated."""
    sample: SampleSettings = SampleSettings()
    """How target items are drawn."""
    refine: RefineSettings = RefineSettings()
    """Which drawn events are retained."""
    negatives: NegativeSettings = NegativeSettings()
    """Rows with label 0 beside the synthetic events."""
    train: TrainSettings = TrainSettings()
    """How a downstream model learns."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """How a trained model is evaluated."""
    study: StudySettings = StudySettings()
    """What a study compares."""
    conversions: ConversionSettings = ConversionSettings()
    """How a study of a log of impressions trains and selects settings."""

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the settings with others by dotted name, such as {"train.l2": 0.1}; values are not validated."""
        sections: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            section, setting = name.split(".")
            sections.setdefault(section, {})[setting] = value
        return self.model_copy(
            update={name: getattr(self, name).model_copy(update=values) for name, values in sections.items()}
        )

    def at(self, name: str) -> Any:
        """Return a setting by dotted name."""
        section, setting = name.split(".")
        return getattr(getattr(self, section), setting)


class ColumnSettings(Settings):
    """Column names of a log; omitted columns are detected by their common names, '' means that the log has none."""

    user: Annotated[str | None, Option("--user", metavar="COL")] = None
    """Column of user ids; common names are detected."""
    item: Annotated[str | None, Option("--item", metavar="COL")] = None
    """Column of item ids; common names are detected."""
    time: Annotated[str | None, Option("--time", metavar="COL")] = None
    """Column of times: integer seconds or milliseconds, date, timestamp, or any order; '' for none."""
    label: Annotated[str | None, Option("--label", metavar="COL")] = None
    """Column of labels 0 and 1, of which only events with 1 count as interactions; '' for none."""
    value: Annotated[str | None, Option("--value", metavar="COL")] = None
    """Column of values, such as prices; '' for none."""
    weight: Annotated[str | None, Option("--weight", metavar="COL")] = None
    """Column of event weights; '' for none."""


class LogSettings(Settings):
    """Which logs are read, and how."""

    source: Annotated[
        str | dict[str, str],
        Option("--source", "-s", metavar="[NAME=]FILES", note="Several logs: -s feed=a -s video=b."),
    ]
    """Source log: file, glob or folder of Parquet, CSV or JSON lines; or several logs by domain name."""
    target: Annotated[str, Option("--target", "-t", metavar="FILES")]
    """Target log: file, glob or folder."""
    items: Annotated[str | None, Option("--items", metavar="FILE")] = None
    """Item table: titles, values, categories and further columns.

    null for none."""
    columns: ColumnSettings = ColumnSettings()
    """Column names in all logs."""
    source_columns: Annotated[
        ColumnSettings | None, Option("--source-columns", metavar="ROLE=COL,...", note="Example: user=member,item=sku.")
    ] = None
    """Column names that differ in the source logs."""
    target_columns: Annotated[ColumnSettings | None, Option("--target-columns", metavar="ROLE=COL,...")] = None
    """Column names that differ in the target log."""
    time_unit: Annotated[Literal["s", "ms", "us", "ns", "order"] | None, Option("--time-unit")] = None
    """Unit of integer times; inferred from their size by default.

    null for that default."""
    ids: Annotated[Literal["auto", "string"], Option("--ids")] = "auto"
    """`string` reads all ids as text, to join logs with ids of different types."""
    drop_nulls: Annotated[bool, Option("--drop-nulls")] = False
    """Drop and count events with a null in a column that is read."""


class RowSettings(Settings):
    """Form of the synthetic rows."""

    layout: Annotated[Literal["target", "compact"], Option("--layout")] = "target"
    """Columns of the output: those of the target log, or integer codes."""


class RunSettings(RowSettings, LogSettings, Steps):
    """A whole run: the logs, the settings of every step, and the output."""

    judged_by: Literal["auto", "events", "impressions"] = "auto"
    """How the study evaluates: on held-out `events` with drawn negatives, or on labelled `impressions`.

    `impressions` evaluates on real impressions with labels 0 and 1, calibration included (docs/conversions.md). `auto`
    selects it where `negatives.kind` is `rate`."""
    leaks: Literal["off", "report", "drop"] = "off"
    """`report` detects columns that separate synthetic rows from real rows (extra `models`); `drop` also removes
    them."""
