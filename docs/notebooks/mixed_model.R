# The model of mixed_model.ipynb with lme4, from the csv table of a release:
#
#     Rscript docs/notebooks/mixed_model.R my-release
#
# It prints the model, then the fixed effects as csv. Where R with lme4 is absent, the tests leave it untested.

suppressPackageStartupMessages(library(lme4))

folder <- commandArgs(trailingOnly = TRUE)[1]
texts <- c(participant = "character", key = "character")
trials <- read.csv(file.path(folder, "csv", "trials.csv"), colClasses = texts)
answers <- subset(trials, counted == "true" & !is.na(perceived_lambda) & !is.na(previous_lambda))

answers <- transform(
  answers,
  share = lambda_e4 / 10000 - 0.5,
  deviation = perceived_lambda - lambda_e4 / 10000,
  previous = previous_lambda - 0.5,
  place = position / max(trials$position) - 0.5
)
terms <- c("share", "previous", "place")

# Where the same class of every pair was always on the left, side and class cannot be separated.
answers$side <- ifelse(answers$left == "first", 0.5, -0.5)
on_the_left <- with(answers, ifelse(left == "first", first_class, second_class))
pair <- with(answers, paste(pmin(first_class, second_class), pmax(first_class, second_class)))
if (any(tapply(on_the_left, pair, function(classes) length(unique(classes))) > 1)) terms <- c(terms, "side")

# How much more is seen of a class than of the first one, whatever it is mixed with.
met <- sort(unique(c(answers$first_class, answers$second_class)))
for (index in met[-1]) {
  name <- paste0("class_", index)
  answers[[name]] <- (answers$first_class == index) - (answers$second_class == index)
  terms <- c(terms, name)
}

# Persons and images are crossed: an intercept for each, and a slope on the share for each person.
model <- lmer(reformulate(c(terms, "(1 + share || participant)", "(1 | key)"), "deviation"), answers)
print(summary(model, correlation = FALSE))
write.csv(coef(summary(model)), quote = FALSE)
