"""Statistics of arrays: intervals, resampling and tests, with NumPy and SciPy alone."""
