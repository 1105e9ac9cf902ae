"""The statistics of a study, one in each file, with its source."""
