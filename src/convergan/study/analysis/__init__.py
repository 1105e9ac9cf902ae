"""The statistical analysis of a study: votes or error rates in, findings out."""
