"""Revisions of the tables, a file for each, in the order of their numbers."""
