"""Downstream models: recipes that learn P(label = 1 | user, item) from real and synthetic events.

One protocol, one contract test; a new model is a module here and a line in `_RECIPES`.
"""

from __future__ import annotations

from scalr.errors import unknown_name
from scalr.models.mf import fit_factorization
from scalr.models.protocol import Examples, Model, Recipe

__all__ = ["Examples", "Model", "Recipe", "get_model", "model_names"]

_RECIPES: dict[str, Recipe] = {
    "mf": fit_factorization,
}


def model_names() -> tuple[str, ...]:
    """Return the names that `get_model` takes."""
    return tuple(_RECIPES)


def get_model(name: str) -> Recipe:
    """Return the recipe of the model called `name`.

    Raises:
        ConfigError: If no model has that name.
    """
    if name not in _RECIPES:
        raise unknown_name("model", name, _RECIPES)
    return _RECIPES[name]
