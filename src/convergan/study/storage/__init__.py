"""Database of a study, and its secret keys."""
