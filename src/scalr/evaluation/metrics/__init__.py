"""Formulas: predictive, ranking, fidelity of synthetic events, and comparison of arms."""
