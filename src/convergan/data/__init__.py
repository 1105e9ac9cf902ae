"""Data sets: sources, the store of decoded images, splits, and batches by index."""
