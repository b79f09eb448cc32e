"""Compiled loops of models and metrics."""
