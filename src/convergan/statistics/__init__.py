"""Statistics of arrays: intervals, resampling, tests. NumPy and SciPy alone, for whoever needs them."""
