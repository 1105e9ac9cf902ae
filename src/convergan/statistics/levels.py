"""The level of intervals, and that of tests."""

LEVEL = 0.95
"""The level of every interval: the share of intervals that hold the truth."""

SIGNIFICANCE = 0.05
"""The level of every test: a p-value below it is called a difference."""
