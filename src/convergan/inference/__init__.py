"""What a finished run is for: predicting classes and drawing samples."""
