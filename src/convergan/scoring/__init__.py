"""Scores of images, and how certain they are: `convergan score`."""
