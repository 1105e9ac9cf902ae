"""Typed settings, and one file of presets for each data set. Imports neither torch nor NumPy."""
