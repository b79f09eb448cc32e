"""Fit translations on the cluster, and restrict them to the users of a part."""
