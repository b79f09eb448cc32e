"""Settings of generation: privacy, translation, sampling, alignment, refining and negative rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scalr.foundation.validation import Count, NonNegative, OpenShare, Option, Positive, Settings, Share


class PrivacySettings(Settings):
    """Protection of the users behind the events; docs/privacy.md states the guarantees."""

    k: Count = 1
    """Least number of distinct other users behind every (source item, target item) pair that is used.

    This bound holds whatever the other settings are. No confidence or support below it is written. 1 for no bound."""
    epsilon: Positive | None = None
    """`cooccurrence`: budget of differential privacy at the level of users; null for none.

    The noise does not depend on the seed (extra `privacy`): the same seed gives different events each time, and every
    fit spends the budget again."""
    delta: OpenShare = 1e-6
    """Probability that the guarantee of epsilon fails; choose it far below 1 / users."""
    pairs_per_user: Annotated[int, Field(ge=1, le=10_000)] = 16
    """With epsilon: each user contributes at most this many pairs of items, selected by a hash."""

    @property
    def is_on(self) -> bool:
        """Return whether any guarantee is given."""
        return self.k > 1 or self.epsilon is not None


class TranslateSettings(Settings):
    """How P(target item | user, source item) is estimated."""

    translator: Annotated[str, Option("--translator", metavar="NAME")] = "cooccurrence"
    """Estimator of P(target item | user, source item): cooccurrence, conditioned or factor. The controls popularity and
    random ignore the user. In a study also auto: selected on the validation period, together with its settings."""
    history_cap: Annotated[Count | None, Option("--history-cap", metavar="N")] = None
    """Use at most the latest N items of each user in each domain.

    null for the general bound of 10,000."""
    window_days: Annotated[
        Annotated[float, Field(gt=0.0, le=100_000.0, allow_inf_nan=False)] | None,
        Option("--window-days", metavar="D"),
    ] = None
    """Use only target events within D days after the source event.

    null for all target events, before or after. `factor`, `popularity` and `random` ignore it."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 64
    """`conditioned`, `factor`: dimensions of the user factors."""
    ridge: Positive = 1.0
    """`conditioned`, `factor`: penalty of the regression from user factors to target items."""
    fit_pairs: Annotated[int, Field(ge=1000)] = 1 << 24
    """`conditioned`, `factor`: approximate upper bound on the distinct (user, source item) pairs that factors are
    fitted on.

    A larger log is sampled by user. Half of the sampled pairs belong to users with target events, if there are enough.
    All users get factors."""
    candidates: Annotated[int, Field(ge=1, le=1000)] = 16
    """`conditioned`: candidate paths per draw; 1 is equivalent to co-occurrence."""
    shortlist: Annotated[int, Field(ge=1, le=10_000)] = 200
    """`factor`: number of new items per user that can be drawn, those with the highest scores."""
    backoff: Annotated[NonNegative, Option("--backoff", metavar="M")] = 0.0
    """Pseudo-paths of the category of the source item (column `category` of the item table), which smooth the
    distribution of items with few paths; 0 for none.

    The category distribution is smoothed by popularity in the same way; an item without a category backs off to
    popularity. The back-off distributions respect `history_cap` and ignore `window_days`. Temperature and minimum
    support apply within each distribution. The strategy `topk` uses them only to fill a list that the paths of the item
    leave incomplete, the category first."""
    privacy: Annotated[
        PrivacySettings,
        Option(
            "--privacy",
            metavar="k=N",
            note="k=N uses a (source item, target item) pair only with at least N distinct other users behind it. "
            "epsilon=E,delta=D (extra 'privacy') makes the counts of scalr generate --engine local differentially "
            "private.",
        ),
    ] = PrivacySettings()
    """Protection of the users behind the events."""


class SampleSettings(Settings):
    """How target items are drawn for source events."""

    draws_per_event: Annotated[Count, Option("--draws", metavar="K")] = 4
    """Draws per source event."""
    strategy: Annotated[Literal["sample", "topk"], Option("--strategy")] = "sample"
    """`sample` draws from the distribution; `topk` takes its most probable items."""
    temperature: Annotated[float, Field(ge=0.05, le=1000.0, allow_inf_nan=False), Option("--temperature")] = 1.0
    """Below 1 sharpens the distribution, above 1 flattens it.

    Probabilities are proportional to count ** (1 / temperature). Use the strategy `topk` for the sharpest limit."""
    min_support: Annotated[Count, Option("--min-support", metavar="N")] = 1
    """Draw only pairs of items with at least N distinct other users behind them."""


class AlignSettings(Settings):
    """Bucket-wise downsampling that makes a marginal of the synthetic events follow the real one."""

    by: tuple[Literal["value", "popularity", "time"], ...] = ("value",)
    """Marginals to align; those that a log does not have are skipped and reported."""
    buckets: Annotated[int, Field(ge=2, le=1000)] = 20
    """Number of buckets, each with about the same number of real events."""
    keep_share: OpenShare = 0.5
    """Least share of the events that alignment retains; it stops there if it would have to remove more."""


class RefineSettings(Settings):
    """Which drawn events are retained."""

    min_support: Count = 1
    """Least number of distinct other users behind a pair of items."""
    min_confidence: Share = 0.0
    """Lower bound (one-sided 95 %, Wilson) of the confidence."""
    duplicates: Annotated[Literal["keep", "best", "merge"], Option("--duplicates")] = "keep"
    """Several events of one (user, item): `keep` all, the `best` by confidence, or `merge` into that event with the sum
    of the weights."""
    align: Annotated[
        AlignSettings | None,
        Option("--align", metavar="LIST", note="Marginals, 'none' for none: value, popularity, time."),
    ] = AlignSettings()
    """Alignment of marginals with the real events.

    null for none."""
    max_per_user: Count | None = None
    """At most this many synthetic events per user, those with the highest confidence."""
    max_per_item: Count | None = None
    """At most this many synthetic events per item, those with the highest confidence."""


class NegativeSettings(Settings):
    """Rows with label 0 beside the synthetic events, for a target log of labelled impressions."""

    kind: Annotated[Literal["none", "rate"], Option("--negatives")] = "none"
    """`rate` adds rows with label 0 until the weighted base rate of the synthetic rows equals that of the real log.

    Users are those of the synthetic events; items follow the distribution of the real negatives. Columns that are
    functions of the item are filled from the target log where the item table does not have them."""
    per_positive: Annotated[
        Count | None,
        Option("--negatives-per-positive", metavar="N", zero_is_null=True, note="0 for as many as the rate needs."),
    ] = 10
    """Upper bound on negative rows per synthetic event; a rate that needs more raises the weight of each row.

    null writes as many rows as the rate needs, each with the weight of its synthetic event."""
