"""Translations fitted on the cluster, and cut down to the users of a part."""
