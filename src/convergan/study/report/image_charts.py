"""Which figures of images and their sets a study's report shows, and what it says below them."""

from convergan.page.chart import Chart
from convergan.page.words import percent
from convergan.study.analysis.findings import Findings, ImageSet
from convergan.study.report.figures import (
    Mark,
    Points,
    Row,
    interval_chart,
    ranked_intervals,
    scatter,
)
from convergan.study.report.words import correlation_words


def images_chart(image_set: ImageSet, place: int) -> Chart:
    """How the images of a set differ in how often they fool."""
    rates = [each.rate for each in image_set.images]
    return Chart(
        title=image_set.name,
        svg=ranked_intervals(
            rates,
            [each.interval for each in image_set.images],
            name=f"images-{place}",
            x_label="generated images, the most fooling first",
            y_label="fooling rate",
        ),
        legend=[],
        description=f"Fooling rates of {len(rates):,} images, from {percent(rates[0])} down to "
        f"{percent(rates[-1])}.",
        caption="Fooling rate of each image, shrunk towards the mean of the set because few people saw it, "
        "with 95\N{NO-BREAK SPACE}% intervals.",
    )


def image_scores_chart(image_set: ImageSet, place: int) -> Chart | None:
    """Fooling rates beside the scores that the caller gave."""
    scored = [each for each in image_set.images if each.score is not None]
    if image_set.correlation is None:
        return None
    cloud = Points(
        "generated images",
        [each.score for each in scored if each.score is not None],
        [each.rate for each in scored],
        0,
    )
    return Chart(
        title=f"{image_set.name}: score and fooling rate",
        svg=scatter(
            [cloud],
            name=f"scores-{place}",
            x_label="score of the image",
            y_label="fooling rate",
        ),
        legend=[],
        description=f"Scatter plot: {correlation_words(image_set.correlation)}.",
        caption=f"Spearman’s rank correlation: {correlation_words(image_set.correlation)}. With few votes an "
        "image this lies nearer to 0 than the correlation with the images’ true fooling rates.",
    )


def sets_chart(findings: Findings) -> Chart | None:
    """People's errors on the sets in the order of their scores."""
    correlation = findings.error_correlation
    if correlation is None:
        return None
    scored = sorted(
        (each.score, each.name, each) for each in findings.image_sets if each.score is not None
    )
    kinds = ("all wrong answers", "generated taken for real")
    rows = [
        Row(
            f"{name} ({score:g})",
            [
                Mark(error, None, None, style)
                for style, error in enumerate((each.error, each.error_on_generated))
                if error is not None
            ],
        )
        for score, name, each in scored
    ]
    fooling = findings.error_on_generated_correlation
    also = f"; with fooling rates alone: {correlation_words(fooling)}" if fooling else ""
    return Chart(
        title="The sets in the order of their scores",
        svg=interval_chart(rows, name="sets", x_label="wrong answers"),
        legend=[(Points(kind, [], [], style), "") for style, kind in enumerate(kinds)],
        description="Error rates by set, in the order of their scores. "
        f"{correlation_words(correlation)}.",
        caption="Behind each name its score, the lowest on top. Spearman’s rank correlation of scores with "
        f"wrong answers: {correlation_words(correlation)}{also}.",
    )
