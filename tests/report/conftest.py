"""Example of a run's report: scikit-learn's digits, with curves that look like those of a training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from convergan.report.disagreements import disagreements
from convergan.report.inputs import ArmSummary, Prediction, ReportInputs, ViewExamples
from convergan.report.page import write_report
from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.results import ErrorRate, RateInterval, Results
from convergan.statistics.intervals import wilson
from support import manifest_of

EPOCHS = 150


@pytest.fixture(scope="session")
def inputs() -> ReportInputs:
    draw = np.random.default_rng(0)
    digits = load_digits()
    images = (digits.images * 255 / 16).astype(np.uint8)[..., None]
    classes = [str(name) for name in digits.target_names]
    test_images, test_labels = images[-500:], digits.target[-500:]
    wrong = set(draw.choice(500, 14, replace=False).tolist())
    predicted = np.array(
        [
            (label + 1 + place % 3) % 10 if place in wrong else label
            for place, label in enumerate(test_labels)
        ]
    )
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (test_labels, predicted), 1)

    def predictions(places: list[int], confidence: float, step: float) -> list[Prediction]:
        return [
            Prediction(
                image=test_images[place],
                name=f"test-{place:05}.png",
                predicted=classes[predicted[place]],
                label=classes[test_labels[place]],
                confidence=confidence + step * order,
            )
            for order, place in enumerate(places)
        ]

    right = [place for place in range(500) if place not in wrong]
    blurred = (images[:64] * 0.7 + np.roll(images[:64], 1, axis=2) * 0.3).astype(np.uint8)
    return ReportInputs(
        title="digits, 100 labels, seed 0",
        verdict="The GAN helped: 14 of 500 test images wrong, against 33 with the labels alone.",
        results=Results(
            recipe="digits",
            labels=100,
            seed=0,
            epochs=EPOCHS,
            test_size=500,
            test_errors=14,
            test_error_rate=0.028,
            test_interval=RateInterval(0.0168, 0.0464),
            baseline_test_errors=33,
            baseline_test_error_rate=0.066,
            baseline_test_interval=RateInterval(0.0474, 0.0912),
            decision="helped",
            p_value=0.00042,
            train_seconds=204.7,
            seconds_per_epoch=1.36,
            device="cpu",
            precision="32-true",
        ),
        epochs=[_epoch(epoch, draw) for epoch in range(1, EPOCHS + 1)],
        recipe={
            "name": "digits",
            "labels": 100,
            "seed": 0,
            "baseline": True,
            "data": {"source": "digits", "path": None},
            "networks": {"kind": "mlp", "hidden": [1000, 500, 250, 250, 250], "input_noise": 0.3},
            "optimizer": {"learning_rate": 0.003, "epsilon": 0.0001},
        },
        manifest=manifest_of(
            command="convergan train digits --labels 100 --seed 0",
            labelled=draw.choice(1297, 100, replace=False).tolist(),
            versions={"convergan": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
            git_commit="0f1e2d3c4b5a69788796a5b4c3d2e1f001234567",
        ),
        warnings=[
            HealthWarning(
                epoch,
                "collapse",
                f"Generated images are too much alike (diversity {diversity}).",
                "Add minibatch discrimination: --networks.minibatch-kernels 100.",
            )
            for epoch, diversity in ((12, 0.31), (13, 0.33), (14, 0.38), (40, 0.4))
        ],
        classes=classes,
        confusion=confusion,
        real_images=images[:64],
        generated_images=blurred,
        most_certain=predictions(right[:11] + sorted(wrong)[:1], 0.9999, -0.0003),
        least_certain=predictions(sorted(wrong)[1:8] + right[20:25], 0.31, 0.02),
    )


@pytest.fixture(scope="session")
def compared(inputs: ReportInputs) -> ReportInputs:
    """The report of a run with four arms."""
    epochs = inputs.epochs[::15]
    arms = [
        ArmSummary(
            name=name,
            test=ErrorRate(
                errors=errors,
                size=500,
                rate=errors / 500,
                interval=RateInterval(*wilson(errors, 500)),
            ),
            minutes=minutes,
            steps=steps,
            held_out_errors=held_out,
            held_out_size=held_out and 25,
            p_value=p_value,
            saved=name == "composed",
            epochs=[]
            if steps is None
            else [
                EpochLine(
                    epoch=number,
                    step=steps * number // len(epochs),
                    train_seconds=60 * minutes * number / len(epochs),
                    test_errors=errors + 20 * (len(epochs) - number),
                    test_size=500,
                )
                for number in range(1, len(epochs) + 1)
            ],
        )
        for name, errors, minutes, steps, held_out, p_value in (
            ("composed", 14, 4.9, 780, 3, None),
            ("baseline", 33, 1.3, 640, 9, 0.0002),
            ("consistency", 18, 4.8, 1900, 5, 0.031),
            ("frozen", 25, 0.6, None, None, 0.002),
        )
    ]
    digits = load_digits()
    images = (digits.images[-500:] * 255 / 16).astype(np.uint8)[..., None]
    labels = digits.target[-500:]
    draw = np.random.default_rng(1)
    # Probabilities of classifiers that err on a tenth of the images, each on others.
    probabilities = {
        arm.name: draw.dirichlet(np.full(10, 0.5), 500) * (draw.random((500, 1)) < 0.1)
        + 0.2 * np.eye(10)[labels]
        for arm in arms
    }
    probabilities = {
        name: weights / weights.sum(axis=1, keepdims=True)
        for name, weights in probabilities.items()
    }
    return replace(
        inputs,
        verdict="The GAN composed with consistency errs least. It was chosen by held-out labels.",
        arms=arms,
        epochs=epochs,
        warnings=[],
        disagreements=disagreements(
            labels,
            probabilities,
            inputs.classes,
            lambda place: images[place],
            lambda place: f"test-{place:05}.png",
        ),
        views=ViewExamples(
            images=images[:6], views={"weak": images[:6, ::-1], "strong": 255 - images[:6]}
        ),
    )


def _epoch(epoch: int, draw: np.random.Generator) -> EpochLine:
    early = float(np.exp(-epoch / 9))
    noise = float(draw.normal())
    return EpochLine(
        epoch=epoch,
        step=13 * epoch,
        train_seconds=1.36 * epoch,
        learning_rate=0.003,
        losses={
            "discriminator/supervised": 0.004 + 2.1 * early * (1 + 0.05 * noise),
            "discriminator/unlabelled": 0.21 + 0.3 * early + 0.01 * noise,
            "discriminator/generated": 0.17 + 0.4 * early + 0.01 * noise,
            "generator/feature_matching": 0.009 + 0.2 * early + 0.001 * noise,
        },
        real_score=0.86 - 0.35 * early + 0.012 * noise,
        generated_score=0.16 + 0.3 * early + 0.012 * float(draw.normal()),
        diversity=0.93 - 0.8 * early + 0.015 * noise,
        test_errors=14 + round(22 * np.exp(-epoch / 30) + 380 * np.exp(-epoch / 4)),
        test_size=500,
        raw_test_errors=21 + round(30 * np.exp(-epoch / 30) + 300 * early + abs(3 * noise)),
        baseline_test_errors=33 + round(350 * np.exp(-epoch / 3) + abs(float(draw.normal()))),
    )


@pytest.fixture(scope="session")
def report(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "report.html"
    write_report(path, inputs)
    return path
