"""A module given as classifier whose outputs are no features and logits is an error that says so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from torch import Tensor, nn

from convergan import ScoreSettings, UserError, score


class Output(NamedTuple):
    features: Any
    logits: Any


@dataclass
class Plain:
    logits: Tensor
    features: Tensor


class Judge(nn.Module):
    """A network whose outputs for the pixels [batch, 64] are what a function makes of them."""

    def __init__(self, outputs: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, images: Tensor) -> Any:
        return self.outputs(images.flatten(1).float() / 255)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            lambda x: x,
            r"classifier: expected an output with features and logits, got float32 \[\d+, 64\]",
        ),
        (
            lambda x: Output(x[:, 0], x),
            r"features of the classifier: expected floats \[\d+, features\], got float32 \[\d+\]",
        ),
        (
            lambda x: Output(x[:, :, None, None], x),
            r"features of the classifier: .*, got float32 \[\d+, 64, 1, 1\]",
        ),
        (
            lambda x: Output(x, x.argmax(1)),
            r"logits of the classifier: expected floats \[\d+, classes\], got int64 \[\d+\]",
        ),
        (lambda x: Output(x, x[:1]), r"logits of the classifier: .*, got float32 \[1, 64\]"),
        (lambda x: Output(None, x), r"features of the classifier: .*, got NoneType"),
    ],
    ids=["alone", "flat", "maps", "labels", "rows", "none"],
)
def test_outputs_that_are_no_features_and_logits(
    outputs: Callable[[Tensor], Any], message: str, digits: np.ndarray
) -> None:
    with pytest.raises(UserError, match=rf"^{message}$"):
        score(digits, classifier=Judge(outputs).eval())


def test_any_object_with_features_and_logits_will_do(digits: np.ndarray) -> None:
    settings = ScoreSettings(metrics=("is",), splits=2)
    values = [
        score(digits, classifier=Judge(outputs).eval(), settings=settings).numbers
        for outputs in (lambda x: Output(x, 4 * x), lambda x: Plain(logits=4 * x, features=x))
    ]
    assert values[0] == values[1]
