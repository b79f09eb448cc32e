"""Sweeps: one setting changed at a time, compared with the claims of the paper."""
