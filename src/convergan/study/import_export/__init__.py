"""Import of votes from files, and export to files."""
