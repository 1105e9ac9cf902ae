"""Votes from files and to files."""
