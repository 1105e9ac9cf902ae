# Mixed models of a study: the effects of arms on people's answers, with participants and images as random
# effects. Run it in the folder of votes.csv: Rscript mixed_model.R
# install.packages("lme4")

library(lme4)

# Names may look like numbers, or be empty.
votes <- read.csv("votes.csv", colClasses = c(arm = "factor"), stringsAsFactors = TRUE, na.strings = "")
as_truth <- function(column) tolower(as.character(column)) == "true"
# Obvious fakes show whether people looked, and count in nothing else.
votes <- droplevels(votes[!as_truth(votes$control), ])
votes$generated <- as_truth(votes$generated)
votes$answered_generated <- as_truth(votes$answered_generated)
votes$right <- votes$generated == votes$answered_generated
votes$truth <- ifelse(votes$generated, 0.5, -0.5)
several_arms <- nlevels(votes$arm) > 1

# Signal detection: the coefficient of truth is d', and its interactions with arms are differences in d'; the
# other coefficients are criteria with the sign reversed. The other model is of accuracy: the log-odds of a right
# answer.
if (several_arms) {
  right <- right ~ arm + (1 | participant) + (1 | image)
  answer <- answered_generated ~ truth * arm + (1 + truth | participant) + (1 | image)
} else {
  right <- right ~ 1 + (1 | participant) + (1 | image)
  answer <- answered_generated ~ truth + (1 + truth | participant) + (1 | image)
}

# In a timed study the staircase drives everyone's accuracy to the same value, so arms are compared at equal
# exposure, in doublings of the median. The interaction of exposure with truth is what a doubling adds to d'.
# The thresholds of participants are in participants.csv.
if (any(!is.na(votes$exposure_ms))) {
  votes$exposure <- log2(votes$exposure_ms / median(votes$exposure_ms, na.rm = TRUE))
  right <- update(right, . ~ . + exposure)
  answer <- update(answer, . ~ . + truth * exposure)
}

print(summary(glmer(right, data = votes, family = binomial)))
print(summary(glmer(answer, data = votes, family = binomial(link = "probit"))))
