"""Levels of intervals and tests."""

LEVEL = 0.95
"""Level of every interval: the share of intervals that contain the truth."""

SIGNIFICANCE = 0.05
"""Level of every test: a p-value below it counts as a difference."""
