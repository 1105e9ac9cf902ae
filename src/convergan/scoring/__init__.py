"""Scores of images, with confidence intervals: `convergan score`."""
