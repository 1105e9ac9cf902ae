"""Uses of a finished run: predicting classes and drawing samples."""
