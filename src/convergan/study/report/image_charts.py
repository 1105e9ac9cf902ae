"""Charts of images and of their sets in a study's report, with their captions."""

from convergan.page.chart import Chart
from convergan.page.words import percent
from convergan.study.analysis.findings import Findings, GeneratedImages
from convergan.study.report.figures import (
    Mark,
    Points,
    Row,
    interval_chart,
    ranked_intervals,
    scatter,
)
from convergan.study.report.formats import correlation_words


def images_chart(image_set: GeneratedImages, place: int) -> Chart:
    """Draw the fooling rates of the images of a set, in descending order."""
    rates = [image.rate for image in image_set.images]
    return Chart(
        title=image_set.name,
        svg=ranked_intervals(
            rates,
            [image.interval for image in image_set.images],
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


def image_scores_chart(image_set: GeneratedImages, place: int) -> Chart | None:
    """Draw the fooling rates of images against their scores; None without a correlation."""
    scored = [image for image in image_set.images if image.score is not None]
    if image_set.correlation is None:
        return None
    cloud = Points(
        "generated images",
        [image.score for image in scored if image.score is not None],
        [image.rate for image in scored],
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
        caption=f"Spearman’s rank correlation: {correlation_words(image_set.correlation)}. With few votes "
        "for each image it is nearer to 0 than the correlation with the images’ true fooling rates.",
    )


def sets_chart(findings: Findings) -> Chart | None:
    """Draw people's errors on the sets in the order of their scores; None without a correlation."""
    correlation = findings.error_correlation
    if correlation is None:
        return None
    scored = sorted(
        (image_set.score, image_set.name, image_set)
        for image_set in findings.image_sets
        if image_set.score is not None
    )
    kinds = ("all wrong answers", "generated taken for real")
    rows = [
        Row(
            f"{name} ({score:g})",
            [
                Mark(error, None, None, style)
                for style, error in enumerate((image_set.error, image_set.error_on_generated))
                if error is not None
            ],
        )
        for score, name, image_set in scored
    ]
    fooling = findings.error_on_generated_correlation
    addition = f"; with fooling rates alone: {correlation_words(fooling)}" if fooling else ""
    return Chart(
        title="The sets in the order of their scores",
        svg=interval_chart(rows, name="sets", x_label="wrong answers"),
        legend=[(Points(kind, [], [], style), "") for style, kind in enumerate(kinds)],
        description="Error rates by set, in the order of their scores. "
        f"{correlation_words(correlation)}.",
        caption="Each name is followed by its score, the lowest on top. Spearman’s rank correlation of "
        f"scores with wrong answers: {correlation_words(correlation)}{addition}.",
    )
