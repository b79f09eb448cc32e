"""Co-occurrence conditioned on the user: candidate paths of the source item, chosen by the user's affinity.

The paper writes P(i | u, j) and estimates it without u. Here P(i | u, j) is proportional to the number of other users
with both i and j, times the user's own score for i (`affinity`): one of several candidate paths is drawn by score.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from scalr.foundation import Codes, ConfigError, Floats, Receipt, SampleSettings, Stopwatch, TranslateSettings, rng
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels.candidate_choice import UserAffinity, resample
from scalr.synthesis.kernels.path_probability import add_conditioned, fill_affinities
from scalr.synthesis.translators.affinity import fit_affinity
from scalr.synthesis.translators.cooccurrence import CooccurrenceTranslation, fit_cooccurrence
from scalr.synthesis.translators.protocol import Drawing, Draws, sampling_of
from scalr.synthesis.translators.queries import Queries, source_events

USERS_AT_ONCE = 256  # per thread, with their affinity to every target item


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedTranslation:
    """Paths, and the affinity of users to their target items."""

    paths: CooccurrenceTranslation
    affinity: UserAffinity
    candidates: int
    receipt: Receipt

    @property
    def pair(self) -> Pair | StoredPair:
        """Return the logs of the fit."""
        return self.paths.pair

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of all events of the fit; None without time."""
        return self.paths.fitted_until

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> ConditionedDrawing:
        """Prepare draws of candidates and the choice among them; see `Translation.drawing`."""
        most_candidates = self.candidates * settings.draws_per_event
        proposed = settings.model_copy(update={"draws_per_event": most_candidates, "temperature": 1.0})
        drawing = self.paths.drawing(source, proposed, seed=seed, most=most)
        return ConditionedDrawing(drawing, self, settings, rng.stream(seed, rng.Purpose.CHOOSE), most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user); see `Translation.probability`.

        It is exact: proportional to paths times affinity over all items behind a source item. Draws choose among
        `candidates` paths and approximate it, better with more candidates.

        Raises:
            ConfigError: If the paths back off, which would need a sum over the whole catalogue for every event.
        """
        if self.paths.backoff is not None:
            raise ConfigError(
                f"'conditioned' has no probabilities with a back-off of {self.paths.backoff.pseudo_paths:g}",
                expected="a back-off of 0",
                fix="fit without back-off, or use 'cooccurrence'",
            )
        stored = StoredPair.from_pair(self.pair)
        queries = Queries.from_pairs(user, item, len(stored.target.users))
        total = np.zeros(len(item))

        def sum_up(first: int) -> None:
            self._add(stored, queries, (first, min(first + USERS_AT_ONCE, len(queries.users))), total)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(sum_up, range(0, len(queries.users), USERS_AT_ONCE)):
                pass
        return queries.means(total, source_events(stored))

    def _add(self, stored: StoredPair, queries: Queries, rows: tuple[int, int], total: Floats) -> None:
        """Add up the probabilities of some queried users; other threads write to other places of `total`."""
        affinity, target = self.affinity, self.paths.target
        users, start = queries.users[rows[0] : rows[1]], queries.start[rows[0] : rows[1] + 1]
        near = np.empty((len(users), len(affinity.item_factors)), np.float32)
        fill_affinities(users, affinity, target.start, target.item, near)
        row_of_user = np.full_like(queries.row_of_user, -1)
        row_of_user[users] = np.arange(len(users), dtype=np.int32)
        places = slice(int(start[0]), int(start[-1]))
        item, sums, start = queries.item[places], total[places], start - start[0]
        for part in stored.source.parts():
            joined = self.paths.join_source(part)
            workspace = joined.workspace()
            add_conditioned(workspace, joined.paths, row_of_user, near, start, item, sums, self.paths.least)


@dataclass(slots=True, eq=False)
class ConditionedDrawing:
    """Draws among candidate paths; see `Drawing`.

    With the strategy `topk` the candidates are the items with the highest counts.

    Args:
        candidates: Draws of the candidates.
        translation: The fitted translation.
        settings: Draws per event, strategy and temperature.
        stream: Key of seed and purpose.
        most: Upper bound on `last - first` in `draw`.
    """

    candidates: Drawing
    translation: ConditionedTranslation
    settings: SampleSettings
    stream: np.uint64
    most: int
    _buffer: Draws = field(init=False)

    def __post_init__(self) -> None:
        self._buffer = Draws.allocate(self.most * self.settings.draws_per_event)

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""
        return self.candidates.events

    def fork(self) -> ConditionedDrawing:
        """Return a copy with its own workspace, for another thread."""
        return replace(self, candidates=self.candidates.fork())

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        candidates, sampling = self.candidates.draw(first, last), sampling_of(self.settings)
        drawn = self._buffer.first((last - first) * sampling.draws, candidates.key)
        user, affinity, target = self.events.user[first:last], self.translation.affinity, self.translation.paths.target
        resample(user, affinity, target.start, target.item, candidates, sampling, self.stream, drawn)
        return drawn


def fit_conditioned(pair: Pair | StoredPair, settings: TranslateSettings) -> ConditionedTranslation:
    """Lay out target histories by user, and fit the affinity of users to target items.

    A cap on histories limits paths and the targets of the regression. The features of the regression use all source
    items of a user, as a row of norm 1.

    Raises:
        SchemaError: If there is a window and a log has no time.
    """
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        paths = fit_cooccurrence(pair, settings)
        affinity = fit_affinity(
            stored, paths.target.start, paths.target.item, settings.rank, settings.ridge, settings.fit_pairs
        )
    receipt = watch.receipt("fit", paths.receipt.rows_in, paths.receipt.rows_out, translator="conditioned")
    return ConditionedTranslation(paths, affinity, settings.candidates, receipt)
