"""The terms of the players' losses: one file each, and one line in `registry`."""
