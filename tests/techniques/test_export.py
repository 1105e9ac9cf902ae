"""torch.export and ONNX of every public module and of the networks of runs, with the batch left open."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torchmetrics
from torch import Tensor, nn

import convergan
from convergan import (
    MinibatchDiscrimination,
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
)
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.noise import GaussianNoise
from convergan.recipes.networks import (
    ConvSettings,
    ImageNetSettings,
    MLPSettings,
    ResidualSettings,
)
from convergan.techniques.weight_norm import initialize_from_data

N = 4
Inputs = Callable[[int], tuple[Tensor, ...]]


class Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


class Halves(nn.Module):
    """Compares the first half of a batch with the second."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = MinibatchDiscrimination(6, 4, 3, compare="both_halves")

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[0] // 2
        return self.layer(x, [half, x.shape[0] - half])


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(4, 3), VirtualBatchNorm1d(6, N)

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        return self.norm(torch.cat([latent, self.embedding(labels)], 1))


def randn(*shape: int) -> Inputs:
    return lambda rows: (torch.randn(rows, *shape),)


def joint(*shape: int) -> Inputs:
    """Inputs of a layer by itself: the rows of the reference before those of the batch."""
    return lambda rows: (torch.randn(N + rows, *shape),)


def reference_batch() -> ReferenceBatch:
    network = nn.Sequential(
        nn.Linear(5, 16),
        VirtualBatchNorm1d(16, N),
        nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
        VirtualBatchNorm2d(3, N),
        nn.Flatten(2),
        VirtualBatchNorm1d(3, N, keep_reference=False),
    )
    return ReferenceBatch(network, torch.randn(N, 5))


def conditional(rows: int) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, 3), torch.randint(0, 4, (rows,))


MLP = MLPSettings(hidden=(30, 20), generator_hidden=(25,), latent_size=10)
CONV = ConvSettings(width=4, generator_width=8, latent_size=10)
IMAGENET = ImageNetSettings(
    width=2, dense_multiple=4, generator_width=16, latent_size=6, noise_maps=(2, 2, 1, 1, 1, 1),
    reference_size=4, minibatch_kernels=3, minibatch_kernel_size=2,
)  # fmt: skip
NETWORKS = {
    "mlp": MLP,
    "mlp with kernels": replace(MLP, minibatch_kernels=5),
    "conv": CONV,
    "conv with kernels": replace(CONV, minibatch_kernels=5),
    "imagenet": IMAGENET,
    "residual": ResidualSettings(width=4, generator_width=16, latent_size=10),
}

MODULES: dict[str, tuple[Callable[[], nn.Module], Inputs]] = {
    "MinibatchDiscrimination": (lambda: MinibatchDiscrimination(6, 4, 3), randn(6)),
    "both halves": (Halves, randn(6)),
    "WeightNormLinear": (lambda: WeightNormLinear(6, 4), randn(6)),
    "WeightNormConv2d": (lambda: WeightNormConv2d(3, 4, 3, stride=2, padding=1), randn(3, 6, 5)),
    "WeightNormConvTranspose2d": (
        lambda: WeightNormConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
        randn(3, 6, 5),
    ),
    "GaussianNoise": (lambda: GaussianNoise(0.5), randn(6)),
    "BatchNormWithoutGain": (lambda: BatchNormWithoutGain(6), randn(6)),
    "GroupedBatchNorm": (lambda: GroupedBatchNorm(BatchNormWithoutGain(6)), randn(6)),
    "VirtualBatchNorm1d": (lambda: VirtualBatchNorm1d(6, N), joint(6)),
    "of sequences": (lambda: VirtualBatchNorm1d(6, N), joint(6, 5)),
    "VirtualBatchNorm2d": (lambda: VirtualBatchNorm2d(6, N), joint(6, 3, 2)),
    "ReferenceBatch": (reference_batch, randn(5)),
    "ReferenceBatch of two": (
        lambda: ReferenceBatch(Conditional(), *conditional(N)),
        conditional,
    ),
}
for name, settings in NETWORKS.items():
    shape = (3, 32, 32)
    MODULES[f"classifier {name}"] = (
        lambda settings=settings, shape=shape: Logits(
            trained(build_discriminator(settings, shape, 4))
        ),
        randn(*shape),
    )
    if "kernels" not in name:
        maker = build_generator(settings, shape)
        MODULES[f"generator {name}"] = (
            lambda settings=settings, shape=shape: build_generator(settings, shape),
            randn(maker.latent_size),
        )


SLOW = {"both halves", "ReferenceBatch of two"} | {
    name for name in MODULES if name.startswith(("classifier", "generator"))
} - {"classifier mlp with kernels"}


def trained(network: nn.Module) -> nn.Module:
    """Give the layers of a network other statistics than those that they were built with."""
    initialize_from_data(network, torch.randn(12, 3, 32, 32))
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(12, 3, 32, 32), [4, 4, 4])
    return network


def test_no_public_module_is_left_out() -> None:
    public = (getattr(convergan, name) for name in convergan.__all__)
    modules = {
        member.__name__
        for member in public
        if isinstance(member, type)
        and issubclass(member, nn.Module)
        and not issubclass(member, torchmetrics.Metric)
    }
    # These serve a training loop alone; what a classifier holds is exported above, as "classifier ...".
    in_training = {"HistoricalAveraging", "DistributionAlignment", "AdaptiveThreshold"}
    assert modules - in_training - {"Classifier"} <= set(MODULES)


# In one process, so that what torch and onnxruntime import for an export is loaded once.
@pytest.mark.xdist_group("export")
@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODULES],
)
def test_exports_with_any_batch(name: str, tmp_path: Path) -> None:
    build, inputs = MODULES[name]
    module = build().eval()
    smallest = 4 if name == "both halves" else 1
    rows = inputs(1)[0].shape[0] - 1
    dimension = torch.export.Dim("batch", min=rows + smallest)
    example = inputs(5)
    if name == "both halves":
        dimension = torch.export.Dim.AUTO
    shapes = tuple({0: dimension} for _ in example)
    if isinstance(module, ReferenceBatch) and len(example) > 1:
        # Its further inputs are one parameter, `*others`.
        shapes = (shapes[0], shapes[1:])
    program = torch.export.export(module, example, dynamic_shapes=shapes)
    path = tmp_path / "module.onnx"
    torch.onnx.export(program, (), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    for size in (1, 2, 7):
        arguments = inputs(max(size, smallest))
        with torch.no_grad():
            expected = module(*arguments)
            torch.testing.assert_close(program.module()(*arguments), expected, rtol=1e-4, atol=1e-5)
        feed = {key: value.numpy() for key, value in zip(names, arguments, strict=True)}
        (output,) = session.run(None, feed)
        np.testing.assert_allclose(output, expected.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)
