"""The statistical analysis of votes: from votes or rates to findings."""
