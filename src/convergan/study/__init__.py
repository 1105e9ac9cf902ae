"""The visual Turing test: people tell generated images from real ones."""
