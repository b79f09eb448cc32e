"""Metrics: prediction, ranking, translation quality, saturation curves, and comparison of arms."""
