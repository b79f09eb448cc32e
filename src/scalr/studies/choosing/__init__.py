"""Hyper-parameter search on validation periods."""
