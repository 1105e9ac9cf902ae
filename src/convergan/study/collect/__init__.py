"""Collecting votes while a study runs: links, sessions, trials, votes, progress, deletion."""
