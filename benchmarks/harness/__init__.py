"""Helpers of the commands in `benchmarks`: timings, rows of results, peers, processes, simulated votes."""

from pathlib import Path

BENCHMARKS = Path(__file__).parents[1]

ROOT = BENCHMARKS.parent
