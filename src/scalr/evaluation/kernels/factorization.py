"""Compiled loops of logistic matrix factorisation: an epoch over the positives with fresh negatives, and scores.

No loop here is compiled with `fastmath`: sums keep their written order, so results do not depend on the vector width of
the processor. The loops over dimensions and items vectorise all the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import GOLDEN, U64, Codes, Singles, combine, dot, mix, prefetch, trade, unit

ROW = np.dtype([("user", np.int32), ("item", np.int32), ("weight", np.float32), ("kind", np.int32)])
"""A training row in a quarter of a cache line: codes, a weight above 0, and the kind: 0 for real, 1 for synthetic."""
ONE = np.float32(1.0)
AHEAD = 8  # steps for which items are drawn in advance; a power of two
FURTHER = 24  # further steps for which rows are prefetched
INTERCEPT_STEP = np.float32(0.01)  # every row moves the intercept, so its step size is smaller than the others'


@njit(inline="always")
def _below(bits: Any, n: Any) -> Any:
    """Map 64 random bits to an integer in [0, n), n < 2**32, without a division."""
    return np.int64(((bits >> U64(32)) * U64(n)) >> U64(32))


@njit(cache=True, nogil=True)
def first_factors(keys: npt.NDArray[np.uint64], dimensions: int, stream: Any, spread: float) -> Singles:
    """Return uniform factors with mean 0 and standard deviation `spread`, shape (n, dimensions), one row per key."""
    factors = np.empty((keys.shape[0], dimensions), np.float32)
    width = spread * np.sqrt(12.0)  # of a uniform distribution with that standard deviation
    for x in range(keys.shape[0]):
        key = combine(stream, keys[x])
        for d in range(dimensions):
            factors[x, d] = (unit(key, d) - 0.5) * width
    return factors


@njit(cache=True, nogil=True)
def shuffled(n: int, key: Any) -> Codes:
    """Return 0 .. n - 1 in an order that depends on `key` alone (Fisher-Yates shuffle); n is below 2**31."""
    order = np.arange(n, dtype=np.int32)
    for x in range(n - 1, 0, -1):
        if x > FURTHER:
            prefetch(order, _below(mix(key + U64(x - FURTHER) * GOLDEN), x - FURTHER + 1))
        y = _below(mix(key + U64(x) * GOLDEN), x + 1)
        order[x], order[y] = order[y], order[x]
    return order


@njit(cache=True, nogil=True)
def visiting_order(n_first: int, n: int, stream: Any, epoch: int) -> Codes:
    """Return rows 0 .. n - 1 in random order; the relative order of the first `n_first` does not depend on `n`.

    Args:
        n_first: Rows whose relative order must not depend on how many rows follow them.
        n: Number of rows.
        stream: Key of the training order.
        epoch: Number of the epoch, from 0.

    Returns:
        Shape (n,). Every interleaving of the two shuffled classes is equally likely.
    """
    key = combine(stream, U64(epoch))
    first, rest = shuffled(n_first, combine(key, U64(0))), shuffled(n - n_first, combine(key, U64(1)))
    merge = combine(key, U64(2))
    order = np.empty(n, np.int32)
    x, y = 0, 0
    for z in range(n):
        if unit(merge, z) * (n - z) < n_first - x:
            order[z] = first[x]
            x += 1
        else:
            order[z] = n_first + rest[y]
            y += 1
    return order


class Parameters(NamedTuple):
    """Parameters of a factorisation with two heads; the kernels update the arrays in place.

    Attributes:
        user_factors: Shape (n_users, dimensions), dimensions being a multiple of `LANES`.
        item_factors: Shape (n_items, dimensions).
        item_bias: Shape (2, n_items), one row per head: log-odds of an item relative to its prior.
        item_prior: Shape (2, n_items), one row per head; constant and not penalised.
        intercept: Shape (2,), one per head.
    """

    user_factors: Singles
    item_factors: Singles
    item_bias: Singles
    item_prior: Singles
    intercept: Singles


class Negatives(NamedTuple):
    """Uniform negatives, drawn by counter-based randomness.

    Attributes:
        catalogues: Items to draw from, one array per kind of row.
        per_row: Negatives per row.
        key: Key of the epoch's negatives.
        n_first: Rows of the first class; a row's negatives depend on its position within its own class.
    """

    catalogues: tuple[Codes, Codes]
    per_row: int
    key: Any
    n_first: int


@njit(inline="always")
def _descend(
    user_factors: Any,
    item_factors: Any,
    item_bias: Any,
    item_prior: Any,
    intercept: Any,
    user: Any,
    head: Any,
    items: Any,
    labels: Any,
    step: Any,
    penalty: Any,
    scratch: Any,
) -> None:
    """Take one gradient step on the cross-entropy of a user's items with labels in [0, 1].

    Arrays come one by one: unpacking the named tuple once per row would count references and cost a tenth of the time.

    Args:
        user_factors: See `Parameters`; updated in place, as are the next two.
        item_factors: See `Parameters`.
        item_bias: See `Parameters`.
        item_prior: See `Parameters`.
        intercept: See `Parameters`; updated in place.
        user: Code of the user.
        head: Head of intercept and biases.
        items: Shape (slots,), codes.
        labels: Shape (slots,).
        step: Step size times the weight of the row.
        penalty: Penalty on factors and biases.
        scratch: Arrays of shape (slots,), (dimensions,) and (dimensions,), overwritten.
    """
    gradient, of_user, change = scratch
    dimensions, n_slots = of_user.shape[0], gradient.shape[0]
    for d in range(dimensions):
        of_user[d] = user_factors[user, d]
        change[d] = np.float32(0.0)
    # All logits before any change: the sums are independent, so the processor works on several at a time.
    for s in range(n_slots):
        i = items[s]
        gradient[s] = intercept[head] + item_prior[head, i] + item_bias[head, i] + dot(of_user, item_factors[i])
    total = np.float32(0.0)
    for s in range(n_slots):
        gradient[s] = step * (ONE / (ONE + np.exp(-gradient[s])) - labels[s])
        total += gradient[s]
    intercept[head] -= INTERCEPT_STEP * total
    keep = ONE - step * penalty
    for s in range(n_slots):
        i, g = items[s], gradient[s]
        item_bias[head, i] = keep * item_bias[head, i] - g
        trade(item_factors[i], of_user, change, keep, g)
    keep_user = ONE - step * penalty * np.float32(n_slots)
    for d in range(dimensions):
        user_factors[user, d] = keep_user * of_user[d] - change[d]


@njit(cache=True, nogil=True)
def run_epoch(
    parameters: Parameters,
    rows: npt.NDArray[Any],
    order: Codes,
    head: npt.NDArray[np.uint8],
    negatives: Negatives,
    learning_rate: float,
    l2: Singles,
) -> None:
    """Take one gradient step per positive, on the log loss of the positive and its negatives.

    Args:
        parameters: Updated in place.
        rows: Shape (n,), of dtype `ROW`; the weight scales the row's loss and penalty.
        order: Shape (n,), the row of each step.
        head: Shape (2,), the head of rows of each kind.
        negatives: Source of the negatives.
        learning_rate: Step size.
        l2: Shape (2,), penalty on factors and biases by rows of each kind.
    """
    user_factors, item_factors, item_bias, item_prior, intercept = parameters
    dimensions, n_slots, n = user_factors.shape[1], negatives.per_row + 1, order.shape[0]
    key_first, key_rest = combine(negatives.key, U64(0)), combine(negatives.key, U64(1))
    n_first, catalogues = negatives.n_first, negatives.catalogues
    ring = np.empty((AHEAD, n_slots), np.int64)  # items of the next steps
    scratch = (np.empty(n_slots, np.float32), np.empty(dimensions, np.float32), np.empty(dimensions, np.float32))
    labels = np.zeros(n_slots, np.float32)
    labels[0] = ONE
    rate = np.float32(learning_rate)
    factors, of_users = item_factors.reshape(-1), user_factors.reshape(-1)
    for z in range(1 - AHEAD - FURTHER, n):
        # Rows and parameters are scattered over memory, so they are prefetched before they are needed.
        furthest, later = z + AHEAD - 1 + FURTHER, z + AHEAD - 1
        if furthest < n:
            prefetch(rows, order[furthest])
        if 0 <= later < n:
            number, place = order[later], later % AHEAD
            row, k = rows[number], rows[number].kind
            key = combine(key_first, U64(number)) if number < n_first else combine(key_rest, U64(number - n_first))
            catalogue = catalogues[k]
            ring[place, 0] = row.item
            for s in range(1, n_slots):
                ring[place, s] = catalogue[_below(mix(key + U64(s) * GOLDEN), catalogue.shape[0])]
            prefetch(of_users, row.user * dimensions)
            for s in range(n_slots):
                prefetch(factors, ring[place, s] * dimensions)
                prefetch(item_bias[head[k]], ring[place, s])
                prefetch(item_prior[head[k]], ring[place, s])
        if z >= 0:
            row = rows[order[z]]
            step = rate * row.weight
            _descend(
                user_factors,
                item_factors,
                item_bias,
                item_prior,
                intercept,
                row.user,
                head[row.kind],
                ring[z % AHEAD],
                labels,
                step,
                l2[row.kind],
                scratch,
            )


@njit(cache=True, nogil=True)
def run_soft_epoch(
    parameters: Parameters, user: Codes, item: Codes, label: Singles, weight: float, learning_rate: float, l2: float
) -> None:
    """Take one gradient step per row, on the cross-entropy of its items with soft labels, with the real head.

    Args:
        parameters: Updated in place.
        user: Shape (n,), codes, in the order of the steps.
        item: Shape (n, slots), codes.
        label: Shape (n, slots), soft labels in [0, 1].
        weight: Weight of every row, at least 0.
        learning_rate: Step size.
        l2: Penalty on factors and biases.
    """
    user_factors, item_factors, item_bias, item_prior, intercept = parameters
    dimensions, n_slots = user_factors.shape[1], item.shape[1]
    scratch = (np.empty(n_slots, np.float32), np.empty(dimensions, np.float32), np.empty(dimensions, np.float32))
    step, penalty = np.float32(learning_rate * weight), np.float32(l2)
    for z in range(user.shape[0]):
        _descend(
            user_factors,
            item_factors,
            item_bias,
            item_prior,
            intercept,
            user[z],
            0,
            item[z],
            label[z],
            step,
            penalty,
            scratch,
        )


@njit(cache=True, nogil=True)
def pair_scores(
    user_factors: Singles, item_factors: Singles, item_bias: Singles, intercept: Any, user: Codes, item: Codes
) -> Singles:
    """Return the logit of each (user, item), shape (n,)."""
    out = np.empty(user.shape[0], np.float32)
    for x in range(user.shape[0]):
        u, i = user[x], item[x]
        logit = intercept + item_bias[i]
        for d in range(user_factors.shape[1]):
            logit += user_factors[u, d] * item_factors[i, d]
        out[x] = logit
    return out


@njit(cache=True, nogil=True)
def block_scores(
    user_factors: Singles, item_columns: Singles, item_bias: Singles, intercept: Any, users: Codes
) -> Singles:
    """Return the logits of all items for some users, shape (n_users, n_items), equal to `pair_scores` bit for bit.

    Args:
        user_factors: Shape (all users, dimensions).
        item_columns: Shape (dimensions, n_items), the item factors transposed.
        item_bias: Shape (n_items,).
        intercept: Scalar.
        users: Shape (n_users,), codes.
    """
    n_items, width = item_bias.shape[0], 1024  # items per tile, so that the logits of a tile stay in the L1 cache
    out = np.empty((users.shape[0], n_items), np.float32)
    for x in range(users.shape[0]):
        u = users[x]
        for start in range(0, n_items, width):
            stop = min(start + width, n_items)
            # Views that start at 0, so that the compiler vectorises the loops.
            tile, bias = out[x, start:stop], item_bias[start:stop]
            for i in range(tile.shape[0]):
                tile[i] = intercept + bias[i]
            for d in range(item_columns.shape[0]):
                factor, column = user_factors[u, d], item_columns[d, start:stop]
                for i in range(tile.shape[0]):
                    tile[i] += factor * column[i]
    return out
