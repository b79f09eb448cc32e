"""Logistic matrix factorisation: one pass over the positives, each with freshly drawn negatives, and its scores.

No loop here is compiled with `fastmath`: sums keep their written order, so the bits do not depend on the width of the
processor's vectors, and the loops over dimensions and items vectorise all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import GOLDEN, U64, Codes, Singles, combine, dot, mix, prefetch, trade, unit

ROW = np.dtype([("user", np.int32), ("item", np.int32), ("weight", np.float32), ("kind", np.int32)])
"""What a step needs of a row, a quarter of a cache line: codes, a weight above 0, and 0 for real or 1 for synthetic."""
ONE = np.float32(1.0)
AHEAD = 8  # steps whose items are chosen before they are needed; a power of two
FURTHER = 24  # steps whose rows are asked for before their items are chosen
INTERCEPT_STEP = np.float32(0.01)  # every row moves the intercept, so its steps are smaller than those of the others


@njit(inline="always")
def _below(bits: Any, n: Any) -> Any:
    """Map 64 random bits to an integer in [0, n), n < 2**32, without a division."""
    return np.int64(((bits >> U64(32)) * U64(n)) >> U64(32))


@njit(cache=True, nogil=True)
def first_factors(keys: npt.NDArray[np.uint64], dimensions: int, stream: Any, spread: float) -> Singles:
    """Return uniform factors with mean 0 and standard deviation `spread`, shape (n, dimensions), one row per key."""
    factors = np.empty((keys.shape[0], dimensions), np.float32)
    width = spread * np.sqrt(12.0)  # of a uniform law with that standard deviation
    for x in range(keys.shape[0]):
        key = combine(stream, keys[x])
        for d in range(dimensions):
            factors[x, d] = (unit(key, d) - 0.5) * width
    return factors


@njit(cache=True, nogil=True)
def shuffled(n: int, key: Any) -> Codes:
    """Return 0 .. n - 1 in an order that depends on `key` alone (Fisher and Yates); n is below 2**31."""
    order = np.arange(n, dtype=np.int32)
    for x in range(n - 1, 0, -1):
        if x > FURTHER:
            prefetch(order, _below(mix(key + U64(x - FURTHER) * GOLDEN), x - FURTHER + 1))
        y = _below(mix(key + U64(x) * GOLDEN), x + 1)
        order[x], order[y] = order[y], order[x]
    return order


@njit(cache=True, nogil=True)
def visiting_order(n_first: int, n: int, stream: Any, epoch: int) -> Codes:
    """Return rows 0 .. n - 1 in random order; that of the first `n_first` among themselves ignores the others.

    Args:
        n_first: Rows whose relative order must not depend on how many rows follow them.
        n: All rows.
        stream: Key of the training order.
        epoch: Number of the pass, from 0.

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


@njit(cache=True, nogil=True)
def pass_over(
    user_factors: Singles,
    item_factors: Singles,
    item_bias: Singles,
    item_prior: Singles,
    intercept: Singles,
    rows: npt.NDArray[Any],
    order: Codes,
    head: npt.NDArray[np.uint8],
    n_first: int,
    catalogues: tuple[Codes, Codes],
    negatives: int,
    negatives_key: Any,
    learning_rate: float,
    l2: Singles,
) -> None:
    """Take one gradient step per positive, on its loss and that of its negatives together; changes the parameters.

    Args:
        user_factors: Shape (n_users, dimensions), dimensions being a multiple of `machine.LANES`.
        item_factors: Shape (n_items, dimensions).
        item_bias: Shape (2, n_items), one row per head: what an item's log-odds are above its prior.
        item_prior: Shape (2, n_items), one row per head; stays as it is and is not penalised.
        intercept: Shape (2,), one per head.
        rows: Shape (n,), of dtype `ROW`; the weight scales the row's loss and penalty.
        order: Shape (n,), which row each step is.
        head: Shape (2,), whose intercept and biases rows of each kind use.
        n_first: Rows of the first class; negatives hang on a row's place in its own class.
        catalogues: Items to draw negatives from, uniformly, one array per kind.
        negatives: Negatives per row.
        negatives_key: Key of this pass's negatives.
        learning_rate: Step size.
        l2: Shape (2,), penalty on factors and biases by rows of each kind.
    """
    dimensions, n_slots, n = user_factors.shape[1], negatives + 1, order.shape[0]
    key_first, key_rest = combine(negatives_key, U64(0)), combine(negatives_key, U64(1))
    ring = np.empty((AHEAD, n_slots), np.int64)  # items of the steps to come
    gradient = np.empty(n_slots, np.float32)
    of_user = np.empty(dimensions, np.float32)
    change = np.empty(dimensions, np.float32)
    rate = np.float32(learning_rate)
    factors, of_users = item_factors.reshape(-1), user_factors.reshape(-1)
    for z in range(1 - AHEAD - FURTHER, n):
        # Rows and parameters lie anywhere in memory, so they are asked for before they are needed.
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
        if z < 0:
            continue
        items, row = ring[z % AHEAD], rows[order[z]]
        u, h, penalty = row.user, head[row.kind], l2[row.kind]
        for d in range(dimensions):
            of_user[d] = user_factors[u, d]
            change[d] = np.float32(0.0)
        # All logits before any change: the sums are independent, so the processor works on several at a time.
        for s in range(n_slots):
            i = items[s]
            gradient[s] = intercept[h] + item_prior[h, i] + item_bias[h, i] + dot(of_user, item_factors[i])
        step = rate * row.weight
        total = np.float32(0.0)
        for s in range(n_slots):
            label = ONE if s == 0 else np.float32(0.0)
            gradient[s] = step * (ONE / (ONE + np.exp(-gradient[s])) - label)
            total += gradient[s]
        intercept[h] -= INTERCEPT_STEP * total
        keep = ONE - step * penalty
        for s in range(n_slots):
            i, g = items[s], gradient[s]
            item_bias[h, i] = keep * item_bias[h, i] - g
            trade(item_factors[i], of_user, change, keep, g)
        keep_user = ONE - step * penalty * np.float32(n_slots)
        for d in range(dimensions):
            user_factors[u, d] = keep_user * of_user[d] - change[d]


@njit(cache=True, nogil=True)
def soft_pass(
    user_factors: Singles,
    item_factors: Singles,
    item_bias: Singles,
    item_prior: Singles,
    intercept: Singles,
    user: Codes,
    item: Codes,
    label: Singles,
    weight: float,
    learning_rate: float,
    l2: float,
) -> None:
    """Take one gradient step per row, on the cross-entropy of its items with soft labels; changes the real head.

    Args:
        user_factors: Shape (n_users, dimensions), dimensions being a multiple of `machine.LANES`.
        item_factors: Shape (n_items, dimensions).
        item_bias: Shape (2, n_items); the first row is the real head's, likewise:
        item_prior: Shape (2, n_items).
        intercept: Shape (2,).
        user: Shape (n,), codes, in the order of the steps.
        item: Shape (n, slots), codes.
        label: Shape (n, slots), wanted probabilities.
        weight: Of every row, at least 0.
        learning_rate: Step size.
        l2: Penalty on factors and biases.
    """
    dimensions, n_slots = user_factors.shape[1], item.shape[1]
    gradient = np.empty(n_slots, np.float32)
    of_user, change = np.empty(dimensions, np.float32), np.empty(dimensions, np.float32)
    step = np.float32(learning_rate * weight)
    keep, keep_user = ONE - step * np.float32(l2), ONE - step * np.float32(l2) * np.float32(n_slots)
    for z in range(user.shape[0]):
        u, total = user[z], np.float32(0.0)
        for d in range(dimensions):
            of_user[d] = user_factors[u, d]
            change[d] = np.float32(0.0)
        for s in range(n_slots):
            i = item[z, s]
            logit = intercept[0] + item_prior[0, i] + item_bias[0, i] + dot(of_user, item_factors[i])
            gradient[s] = step * (ONE / (ONE + np.exp(-logit)) - label[z, s])
            total += gradient[s]
        intercept[0] -= INTERCEPT_STEP * total
        for s in range(n_slots):
            i, g = item[z, s], gradient[s]
            item_bias[0, i] = keep * item_bias[0, i] - g
            trade(item_factors[i], of_user, change, keep, g)
        for d in range(dimensions):
            user_factors[u, d] = keep_user * of_user[d] - change[d]


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
    """Return the logits of some users for every item, shape (n_users, n_items), equal to `pair_scores` bit for bit.

    Args:
        user_factors: Shape (all users, dimensions).
        item_columns: Shape (dimensions, n_items), the item factors transposed.
        item_bias: Shape (n_items,).
        intercept: One number.
        users: Shape (n_users,), codes.
    """
    n_items, width = item_bias.shape[0], 1024  # items at a time, so that a tile of logits stays in the first cache
    out = np.empty((users.shape[0], n_items), np.float32)
    for x in range(users.shape[0]):
        u = users[x]
        for start in range(0, n_items, width):
            stop = min(start + width, n_items)
            # Views that start at 0: the compiler then sees plain loops over memory and vectorises them.
            tile, bias = out[x, start:stop], item_bias[start:stop]
            for i in range(tile.shape[0]):
                tile[i] = intercept + bias[i]
            for d in range(item_columns.shape[0]):
                factor, column = user_factors[u, d], item_columns[d, start:stop]
                for i in range(tile.shape[0]):
                    tile[i] += factor * column[i]
    return out
