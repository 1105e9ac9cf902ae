"""The run folder: its layout, its checkpoints, and the trained model in it."""
