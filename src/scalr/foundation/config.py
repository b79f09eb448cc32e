"""Settings of every step, with their defaults and bounds; unknown names are refused with the nearest one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

import pydantic
from pydantic import BeforeValidator, Field

from scalr.foundation.validation import Count, NonNegative, OpenShare, Positive, Seed, Settings, Share


def _instant_text(value: Any) -> Any:
    """Return dates and numbers, which YAML reads as such, as the text they were."""
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class SplitSettings(Settings):
    """How the logs are cut for evaluation."""

    @pydantic.model_validator(mode="after")
    def _leave_something_to_fit(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share that sum to less than 1")
        return self

    by: Literal["time", "random"] = "time"
    """`time` cuts all logs at one instant; `random` holds out pairs where a log has no time."""
    test_share: OpenShare = 0.2
    """Share of target events, the last ones, that test."""
    validation_share: OpenShare = 0.1
    """Share of target events, those just before the test events, that choose settings."""
    test_from: Annotated[str | None, BeforeValidator(_instant_text)] = None
    """First instant of the test period (ISO date, or a number in the time column's unit), instead of `test_share`."""
    hide_overlap: Share = 0.0
    """Share of the overlap users whose target history is hidden, to have cold users whose truth is known."""


class PrivacySettings(Settings):
    """What protects the people behind the events; docs/privacy.md says what is promised."""

    k: Count = 1
    """A pair (source item, target item) is used only with at least this many distinct other users behind it, whatever
    else the settings say, and no confidence or support is written below. 1 for no such promise."""
    epsilon: Positive | None = None
    """`cooccurrence`: differential privacy of every user as a witness; null for none. Counts get noise that no seed
    repeats (extra `privacy`), so the same seed gives other events each time, and every fit spends epsilon anew."""
    delta: OpenShare = 1e-6
    """Chance that epsilon does not hold; far below 1 / users."""
    pairs_per_user: Annotated[int, Field(ge=1, le=10_000)] = 16
    """With epsilon: a user testifies for at most so many pairs of items, chosen by a hash."""

    @property
    def is_on(self) -> bool:
        """Say whether anything is promised."""
        return self.k > 1 or self.epsilon is not None


class TranslateSettings(Settings):
    """How P(target item | user, source item) is estimated."""

    translator: str = "cooccurrence"
    """Name of the translator; `auto` lets a study choose it, with all that goes with it. `popularity` and `random` are
    controls, which know nothing about the user."""
    history_cap: Count | None = None
    """At most this many items of one user testify in each domain (the latest ones); None for the bound that always
    holds, 10,000."""
    window_days: Annotated[float, Field(gt=0.0, le=100_000.0, allow_inf_nan=False)] | None = None
    """Only target events within this many days after the source event testify; None for all, before or after.
    `factor`, `popularity` and `random` ignore it."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 64
    """`conditioned`, `factor`: dimensions of the users' factors."""
    ridge: Positive = 1.0
    """`conditioned`, `factor`: penalty of the regression from these factors to target items."""
    fit_pairs: Annotated[int, Field(ge=1000)] = 1 << 24
    """`conditioned`, `factor`: distinct (user, source item) that factors are fitted on, about, at most. In a larger log
    they are those of a sample of its users, half of the pairs those of users with target events if they have as
    many; factors are found for all users."""
    candidates: Annotated[int, Field(ge=1, le=1000)] = 16
    """`conditioned`: candidate paths behind every draw; 1 gives co-occurrence."""
    shortlist: Annotated[int, Field(ge=1, le=10_000)] = 200
    """`factor`: new items per user that can be drawn, the nearest ones."""
    backoff: NonNegative = 0.0
    """Pseudo-paths that the law of the source item's category gets beside the item's own paths, and popularity beside
    the category's; 0 for none. Categories are the item table's column `category`; an item without one backs off to
    popularity. The wider laws obey `history_cap` and ignore `window_days`; temperature and minimum support
    hold within each law. The strategy `topk` only fills what the item's own paths leave empty, the category first."""
    privacy: PrivacySettings = PrivacySettings()
    """What protects the people behind the events."""


class SampleSettings(Settings):
    """How target items are drawn for source events."""

    draws_per_event: Count = 4
    """Draws for every source event."""
    strategy: Literal["sample", "topk"] = "sample"
    """`sample` draws from the distribution; `topk` takes its most probable items."""
    temperature: Annotated[float, Field(ge=0.05, le=1000.0, allow_inf_nan=False)] = 1.0
    """Draw in proportion to count ** (1 / temperature): below 1 sharper, above 1 flatter. For the sharpest limit take
    the strategy `topk`."""
    min_support: Count = 1
    """Only pairs of items with at least this many distinct other users behind them are drawn."""


class AlignSettings(Settings):
    """Bucket-wise downsampling so that a marginal of the synthetic events follows the real one."""

    by: tuple[Literal["value", "popularity", "time"], ...] = ("value",)
    """Marginals to align; those a log does not have are passed over and reported."""
    buckets: Annotated[int, Field(ge=2, le=1000)] = 20
    """Buckets, with about equally many real events each."""
    keep_share: OpenShare = 0.5
    """Keep at least about this share of the events; alignment stops there if it would need more."""


class RefineSettings(Settings):
    """Which drawn events are kept."""

    min_support: Count = 1
    """Distinct other users behind a pair of items."""
    min_confidence: Share = 0.0
    """Lower bound (one-sided 95 %, Wilson) of the confidence."""
    duplicates: Literal["keep", "best", "merge"] = "keep"
    """Several events of one (user, item): keep all, the most confident one, or that one with the summed weight."""
    align: AlignSettings | None = AlignSettings()
    """Alignment, or null for none."""
    max_per_user: Count | None = None
    """At most this many synthetic events per user, the most confident first."""
    max_per_item: Count | None = None
    """At most this many synthetic events per item, the most confident first."""


class NegativeSettings(Settings):
    """Rows with label 0 beside the synthetic events, for a target log of impressions with labels."""

    kind: Literal["none", "rate"] = "none"
    """`rate` writes negative rows until the base rate of the synthetic rows, by weight, is that of the real log: users
    of the synthetic events, items by the law of the real negatives. Columns that are functions of the item are then
    filled from the target log itself where the item table does not have them."""
    per_positive: Count | None = 10
    """Most negative rows per synthetic event; where the rate asks for more, each weighs more instead. null writes as
    many rows as the rate asks for, each of the weight of its synthetic event."""


class TrainSettings(Settings):
    """How a downstream model learns from real and synthetic events."""

    model: str = "mf"
    """Name of the downstream model: `mf`, the reference, or another of docs/models.md."""
    objective: Literal["auxiliary", "joint", "thinned"] = "auxiliary"
    """`auxiliary`: synthetic events share factors but have their own intercept and item biases, dropped at prediction.
    `joint`: one head, weighted. `thinned`: one head, each synthetic event kept with probability λ, weight 1."""
    loss: Literal["binary", "in_batch"] | None = None
    """`binary`: cross entropy of a positive and its uniform negatives. `in_batch`, for `two_tower`: softmax over the
    batch's items with logQ correction; 5 % of the real rows give scale and offset. null for the model's own."""
    synthetic_weight: NonNegative = 0.3
    """Weight λ of every synthetic event; 0 trains on real events alone."""
    shrinkage: Positive | None = 4.0
    """κ: weights are multiplied by κ / (κ + real target events of the user); null for no shrinkage."""
    dimensions: Annotated[int, Field(ge=1, le=1024)] = 16
    """Length of user and item factors, or embeddings."""
    learning_rate: Positive | None = None
    """Step size; null for the model's own (0.1 for `mf`)."""
    l2: NonNegative | None = None
    """Penalty on what is learnt about users and items; null for the model's own (0.05 for `mf`)."""
    synthetic_penalty: Share = 0.2
    """Share of that penalty that synthetic rows bring along. They are many and weak: at 1 they pull all factors to
    zero wherever their signal is below the penalty, those of users with real events too."""
    popularity_prior: Share | None = None
    """Items start at this share of their log popularity (networks: synthetic rows at all of theirs); null lets a study
    choose on real events of the validation period (and is 0 outside of one)."""
    half_life: Positive | None = None
    """Age at which a real event weighs half as much, as a share of the time that the visible target log spans; null
    for all alike. Where fashions change, old events teach what is past. A study lets real events choose it."""
    negatives: Count = 4
    """Uniform negatives per positive, for real and synthetic events alike."""
    max_epochs: Count | None = None
    """Most passes over the events; null for the model's own (100 for `mf`)."""
    patience: Count | None = None
    """Passes without a better validation loss before training stops; null for the model's own (16 for `mf`).
    Half as many where synthetic rows make a pass long."""
    batch_size: Count = 4096
    """Positives per gradient step, for models that learn in batches."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models that can use a GPU learn; `auto` takes one that is there."""
    checkpoints: str | None = None
    """Folder in which networks keep every pass of every training, so that a study that was cut off goes on; null for
    none. A pass takes the size of the network on disk."""


class EvaluateSettings(Settings):
    """How a trained model is judged."""

    negatives: Count = 4
    """Uniform negatives per test positive for the predictive metrics."""
    top: Count = 20
    """Length of the ranked lists."""
    ranked_users: Annotated[int, Field(ge=0)] | None = None
    """Most users whose lists are judged, by a hash of their ids, the same for every model; null for all where the model
    scores a catalogue at once, and for 100 where it scores pair by pair; 0 for none."""


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
"""Arms that are conventional methods, with no synthetic events at all."""
DEFAULT_ARMS: tuple[Arm, ...] = ARMS[:9]


class StudySettings(Settings):
    """What a study compares."""

    arms: tuple[Arm, ...] = DEFAULT_ARMS
    """Arms to train; `real_only` is always among them."""
    rival_trials: Count = 6
    """Strengths that each conventional method (`pooled`, `item_knn`, `distillation`, `collective`, `emcdr`) may try on
    the validation periods that settings are chosen on."""
    seeds: Count = 5
    """Repetitions: a seed fixes hidden users, first parameters, draws and negatives, the same for all arms."""
    choosing_seeds: Count = 3
    """Settings are chosen on the validation periods of so many of the seeds, the first ones."""
    baseline_trials: Annotated[int, Field(ge=0, le=1000)] = 36
    """Trials by which real events alone choose popularity prior, half-life, penalty and step size, for all arms; 0
    takes the settings of `train` as they are."""
    trials: Count = 36
    """Translator `auto`: trials by which synthetic events choose translator, draws, temperature, weight, shrinkage
    and objective."""
    budget_seconds: Positive | None = None
    """Translator `auto`: no new round of trials begins after so many seconds; null for no limit. What is chosen
    then depends on the machine."""
    gate: bool | None = None
    """Switch augmentation off for users (warm, cold) whom validation does not show to gain; null does so with the
    translator `auto` only. Studies of impressions have it too."""


ConversionArm = Literal["real_only", "random_items", "popular_items", "shuffled_users", "top1", "scalr"]
"""A way to train that a study of conversions compares."""

CONVERSION_ARMS: tuple[ConversionArm, ...] = get_args(ConversionArm)


class ConversionSettings(Settings):
    """How a study of a log of impressions (`scalr study --conversions`) trains and chooses."""

    arms: tuple[ConversionArm, ...] = ("real_only", "random_items", "shuffled_users", "scalr")
    """Arms to train; `real_only` is always among them."""
    masses: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.3, 1.0, 3.0, 10.0)
    """Total weights of the synthetic events that each arm tries on the validation period, as multiples of the weight
    of all real conversions. They take the place of λ, which says little where one log is a thousand times the other."""
    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 3.0, 10.0)
    """L2 penalties of the logistic regression that each arm tries there, at the middle of `masses`; other masses
    then at the best of them."""
    most_events: Count = 50_000
    """Most synthetic events that a model learns from, each with negative rows beside it; more are thinned at random."""
    per_positive: Count = 4
    """Most negative rows per synthetic event; where the rate asks for more, each weighs more instead."""
    label_delay_days: Annotated[float, Field(ge=0.0, le=100_000.0, allow_inf_nan=False)] = 0.0
    """Days until the label of an impression is known: younger ones than that are not fitted before a period begins."""


class Steps(Settings):
    """Settings of every step between the logs and the evidence."""

    seed: Seed = 0
    """First seed; the same seed gives the same events."""
    split: SplitSettings = SplitSettings()
    """How the logs are cut for evaluation."""
    translate: TranslateSettings = TranslateSettings()
    """How P(target item | user, source item) is estimated."""
    sample: SampleSettings = SampleSettings()
    """How target items are drawn."""
    refine: RefineSettings = RefineSettings()
    """Which drawn events are kept."""
    negatives: NegativeSettings = NegativeSettings()
    """Rows with label 0 beside them."""
    train: TrainSettings = TrainSettings()
    """How a downstream model learns."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """How a trained model is judged."""
    study: StudySettings = StudySettings()
    """What a study compares."""
    conversions: ConversionSettings = ConversionSettings()
    """How a study of a log of impressions does it."""

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the settings with others by dotted name, such as {"train.l2": 0.1}; values are not checked."""
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
    """Names of the columns of a log; those left out are found by their common names, '' means "do without"."""

    user: str | None = None
    """Column of user ids."""
    item: str | None = None
    """Column of item ids."""
    time: str | None = None
    """Column of times: integer seconds or milliseconds, date, timestamp, or any order."""
    label: str | None = None
    """Column of 0 and 1; only events with 1 count as taken."""
    value: str | None = None
    """Column of an event's value, such as its price."""
    weight: str | None = None
    """Column of event weights."""


class RunSettings(Steps):
    """A whole run: the logs, then every step's settings."""

    source: str | dict[str, str]
    """File, glob or folder of the source log; or several, by domain name."""
    target: str
    """File, glob or folder of the target log."""
    items: str | None = None
    """Item table, or null."""
    columns: ColumnSettings = ColumnSettings()
    """Column names in all logs."""
    source_columns: ColumnSettings | None = None
    """Column names in the source logs, where they differ."""
    target_columns: ColumnSettings | None = None
    """Column names in the target log, where they differ."""
    time_unit: Literal["s", "ms", "us", "ns", "order"] | None = None
    """Unit of integer times; null guesses it from their size."""
    ids: Literal["auto", "string"] = "auto"
    """`string` reads all ids as text, to join logs whose ids differ in type."""
    drop_nulls: bool = False
    """Drop (and count) events with a null in any column that is read."""
    layout: Literal["target", "compact"] = "target"
    """Columns of the output: those of the target log, or integer codes."""
    judged_by: Literal["auto", "events", "impressions"] = "auto"
    """`events`: the study hides events of the target log and draws negatives, as for any log. `impressions`: it judges
    on real impressions with labels 0 and 1, and calibration (docs/conversions.md). `auto`: on impressions where
    `negatives.kind` is `rate`."""
    leaks: Literal["off", "report", "drop"] = "off"
    """`report` looks for columns that tell synthetic rows from real ones (extra `models`), `drop` leaves them out."""
