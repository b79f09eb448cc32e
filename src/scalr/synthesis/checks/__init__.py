"""Checks of synthetic rows against the logs they are made of."""
