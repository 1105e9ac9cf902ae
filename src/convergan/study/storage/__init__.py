"""The database of a study and its secret keys."""
