import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalr.evaluation.metrics.saturation import fit_saturation
from scalr.foundation.errors import SchemaError

DRAWS = np.array([1.0, 2, 4, 8, 16])


def exponential(x, a, b, c):
    return a - b * (1 - np.exp(-x / c))


def power(x, a, b, c):
    return a + b * x**-c


@settings(max_examples=25)
@given(st.floats(0.5, 1.5), st.floats(0.001, 0.1), st.floats(1.0, 12.0))
def test_planted_exponential_parameters_come_back(a, b, c):
    fitted = fit_saturation(DRAWS, exponential(DRAWS, a, b, c))
    assert fitted.law == "exponential"
    np.testing.assert_allclose([fitted.a, fitted.b, fitted.c], [a, b, c], rtol=1e-4)
    assert np.abs(fitted.residuals).max() < 1e-6 * b


@settings(max_examples=25)
@given(st.floats(0.5, 1.5), st.floats(0.001, 0.1), st.floats(0.3, 2.0))
def test_planted_power_parameters_come_back(a, b, c):
    fitted = fit_saturation(DRAWS, power(DRAWS, a, b, c))
    assert fitted.law == "power"
    np.testing.assert_allclose([fitted.a, fitted.b, fitted.c], [a, b, c], rtol=1e-3)
    assert fitted.limit is None or fitted.limit == fitted.a


@pytest.mark.parametrize("seed", range(5))
def test_no_parameters_of_a_fine_grid_fit_noise_better(seed):
    """The oracle tries c on a fixed grid and solves for a and b with NumPy's own least squares."""
    random = np.random.default_rng(seed)
    metric = exponential(DRAWS, 0.9, 0.03, 3.0) + random.normal(0, 0.003, len(DRAWS))
    best = min(
        np.square(metric - design @ np.linalg.lstsq(design, metric, rcond=None)[0]).sum()
        for c in np.geomspace(0.33, 8.0, 400)
        for shape in (np.exp(-DRAWS / c), DRAWS**-c)
        for design in (np.column_stack([np.ones(5), shape]),)
    )
    fitted = fit_saturation(DRAWS, metric)
    assert np.square(fitted.residuals).sum() <= best * (1 + 1e-6)
    np.testing.assert_allclose(metric - fitted.at(DRAWS), fitted.residuals, atol=1e-12)


def test_the_limit_is_told_only_where_the_curve_levels_off():
    assert fit_saturation(DRAWS, exponential(DRAWS, 0.9, 0.1, 2.0)).limit == pytest.approx(0.8, rel=1e-6)
    assert fit_saturation(DRAWS, 1.0 - 0.01 * DRAWS).limit is None


def test_more_points_than_parameters_are_needed():
    with pytest.raises(SchemaError, match="3 parameters cannot be fitted to 3 different volumes"):
        fit_saturation(np.array([1.0, 2, 4]), np.ones(3))
    with pytest.raises(SchemaError, match="cannot be fitted"):
        fit_saturation(np.array([0.0, 1, 2, 4, 8]), np.ones(5))
