"""The design of a study: plan, order of trials, exposures of timed trials, statistical power."""
