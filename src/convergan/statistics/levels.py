"""The level of intervals, and that of tests."""

LEVEL = 0.95
"""Of every interval: so often it holds the truth."""

SIGNIFICANCE = 0.05
"""Of every test: a p-value below it is called a difference."""
