"""Small image models of transformers, with random weights, as their users save them."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

MEAN, STDEV = 0.5, 0.25
"""Mean and standard deviation of the pixels in the models' settings."""


def saved(folder: Path, model: Any) -> str:
    """Save a model and the settings of its images; return the folder as text."""
    model.save_pretrained(folder)
    settings = {"image_mean": [MEAN] * 3, "image_std": [STDEV] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


def tiny_resnet() -> ResNetModel:
    torch.manual_seed(0)
    sizes: Any = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
    return ResNetModel(ResNetConfig(layer_type="basic", **sizes)).eval()


def tiny_vit() -> ViTModel:
    torch.manual_seed(0)
    sizes: Any = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return ViTModel(ViTConfig(hidden_size=16, image_size=224, **sizes)).eval()


def saved_resnet(folder: Path) -> str:
    return saved(folder, tiny_resnet())
