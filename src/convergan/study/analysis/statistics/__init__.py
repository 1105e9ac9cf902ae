"""The numbers of a study, each in a file that can be read beside its source."""
