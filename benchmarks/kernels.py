"""Claim: on each device and in each precision layers, networks and Adam compute what float64 gives.

    python benchmarks/kernels.py [--device cuda] [--compile off|on|both] [--batch 20] [--timed-batch 100]

Outputs and gradients of the paper's layers, and of the networks of three recipes without noise and dropout,
are compared with float64 on the CPU. Ours is the larger of the two relative errors, |x - y| / |y|; the peer
is the limit for it. Precisions are fp32; TF32 on a GPU, without a limit; and bf16 where training uses it. A
GPU has both memory formats, channels first and last. `seconds` is the time of one pass forward and backward
of `--timed-batch` images. With --compile networks are compiled, on a GPU as CUDA graphs. The exit code is 1
if a limit is exceeded.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from statistics import median
from sys import float_info
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.dense import NoisyDense
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.precision import without_tf32
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, OptimizerSettings
from convergan.runs.provenance import device_name
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.weight_norm import WeightNormConv2d, WeightNormConvTranspose2d
from convergan.training.adam import build_optimizer
from convergan.training.computation import begin_step, compiled
from harness.command_line import command_parser
from harness.comparison_command import COMPILED, SMALL
from harness.measure import seconds_of
from harness.rows import row, write_rows

LIMITS = {"fp32": 1e-4, "tf32": None, "bf16": 0.05}
"""Largest relative errors: of rounding to 24 bits hundreds of times over, far below TF32's 3e-4; of rounding
to 8 bits."""

SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "cifar10-samples": (3, 32, 32)}
"""The recipes, and the shapes of their images."""

REPEATS = 5


class Case(NamedTuple):
    """Layer or network, and its precisions."""

    name: str
    network: nn.Module
    """Module in float32 on the CPU, in training, without noise."""
    input_shape: tuple[int, ...]
    """Shape of one sample."""
    precisions: tuple[str, ...]
    is_network: bool = False


class Way(NamedTuple):
    """Precision, layout and compilation of a computation."""

    precision: str
    layout: torch.memory_format
    compiled: bool

    def __str__(self) -> str:
        last = ", channels last" if self.layout == torch.channels_last else ""
        return f"{self.precision}{last}{', compiled' if self.compiled else ''}"


def cases(*, small: bool = False) -> Iterator[Case]:
    """Layers, then networks: they show where a network is wrong. Small ones are for trying the command."""
    dense = NoisyDense(784, 500, stdev=0.0, relu=True, train_gain=False)
    layers: list[tuple[str, nn.Module, tuple[int, ...]]] = [
        ("dense", dense, (784,)),
        ("convolution", WeightNormConv2d(96, 96, 3, padding=1), (96, 16, 16)),
        (
            "transposed",
            WeightNormConvTranspose2d(128, 3, 5, stride=2, padding=2, output_padding=1),
            (128, 16, 16),
        ),
        ("batch normalization", BatchNormWithoutGain(128), (128, 16, 16)),
        ("minibatch discrimination", MinibatchDiscrimination(192, 50, 10), (192,)),
    ]
    for name, layer, shape in layers:
        yield Case(name, layer, shape, ("fp32", "tf32", "bf16"))
    for recipe, shape in SHAPES.items():
        networks = PRESETS[recipe].networks
        if small:
            networks = replace(networks, **SMALL[recipe.partition("-")[0]])
        quiet = {name: 0.0 for name in vars(networks) if name.endswith(("_noise", "_dropout"))}
        networks = replace(networks, **quiet)
        discriminator = build_discriminator(networks, shape, 10)
        generator = build_generator(networks, shape)
        # Both are computed in fp32 in the generator's step.
        yield Case(f"{recipe} discriminator", discriminator, shape, ("fp32", "tf32", "bf16"), True)
        yield Case(
            f"{recipe} generator", generator, (generator.latent_size,), ("fp32", "tf32"), True
        )


def ways_of(case: Case, device: torch.device, *, compiles: bool) -> Iterator[Way]:
    """The ways that differ on a device."""
    on_gpu = device.type == "cuda"
    has_maps = any(weight.ndim == 4 for weight in case.network.parameters())
    first, last = torch.contiguous_format, torch.channels_last
    layouts = [first, last] if on_gpu and has_maps else [first]
    if compiles:
        layouts = layouts[-1:] if case.is_network else []
    for precision in case.precisions:
        if precision == "tf32" and (compiles or not on_gpu):
            continue
        for layout in layouts:
            yield Way(precision, layout, compiles)


def computed(
    network: Callable[[Tensor], Any],
    weights: list[Tensor],
    inputs: Tensor,
    seed: int = 0,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[Tensor, Tensor]:
    """The outputs, and the gradients of a random sum of them, by inputs and weights; each flat.

    Args:
        network: gives a tensor, or several.
        weights: those that are differentiated by.
        inputs: a batch.
        seed: of the sum's weights.
        context: that the outputs are computed in.
    """
    inputs = inputs.detach().requires_grad_()
    with context():
        outputs = network(inputs)
    parts = outputs if isinstance(outputs, tuple) else (outputs,)
    flat = torch.cat([part.flatten().to(inputs.dtype) for part in parts])
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(len(flat), generator=generator, dtype=torch.float64)
    total = (flat * factors.to(flat)).sum()
    gradients = torch.autograd.grad(total, [inputs, *weights])
    return flat.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def weights_of(network: nn.Module) -> list[Tensor]:
    """The weights that are trained."""
    return [weight for weight in network.parameters() if weight.requires_grad]


def relative_error(value: Tensor, expected: Tensor) -> float:
    """|value - expected| / |expected|; the largest number where a value is not finite."""
    value = value.detach().to("cpu", torch.float64)
    if not bool(value.isfinite().all()):
        return float_info.max
    return float((value - expected).norm() / expected.norm())


def measured(case: Case, way: Way, device: torch.device, batch: int, timed_batch: int) -> Any:
    """The relative errors of outputs and gradients, and the seconds of a pass."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(max(batch, timed_batch), *case.input_shape, generator=generator)
    exact = deepcopy(case.network).double()
    expected = computed(exact, weights_of(exact), inputs[:batch].double())

    network = deepcopy(case.network).to(device, memory_format=way.layout)  # type: ignore[call-overload]
    inputs = inputs.to(device)
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=way.layout)
    hardware = HardwareSettings(compile=way.compiled)
    run = compiled(network, hardware, device)
    reduced = partial(torch.autocast, device.type, torch.bfloat16, enabled=way.precision == "bf16")

    def task(count: int) -> tuple[Tensor, Tensor]:
        begin_step(hardware, device)
        return computed(run, weights_of(network), inputs[:count], context=reduced)

    with nullcontext() if way.precision == "tf32" else without_tf32():
        # The third call of a CUDA graph is the first that replays it.
        for _ in range(3 if way.compiled else 1):
            results = task(batch)
        errors = [relative_error(*pair) for pair in zip(results, expected, strict=True)]
        if way.compiled:
            # Another size would be compiled again.
            timed_batch = batch
        task(timed_batch)
        seconds = median(seconds_of(partial(task, timed_batch), device) for _ in range(REPEATS))
    return {
        "output_error": errors[0],
        "gradient_error": errors[1],
        "seconds": seconds,
        "seconds_of_images": timed_batch,
    }


def steps_of_adam(place: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Weights after ten updates on a device, and by the formula in float64."""
    settings = OptimizerSettings(learning_rate=1e-3, epsilon=1e-3, epsilon_place=place)
    generator = torch.Generator().manual_seed(2)
    gradients = torch.randn(10, 1000, generator=generator, dtype=torch.float64)
    weight = torch.zeros(1000, device=device, requires_grad=True)
    optimizer = build_optimizer([weight], settings, device)
    exact, first, second = (torch.zeros(1000, dtype=torch.float64) for _ in range(3))
    for number, gradient in enumerate(gradients, 1):
        weight.grad = gradient.to(weight)
        optimizer.step()
        first = settings.beta1 * first + (1 - settings.beta1) * gradient
        second = settings.beta2 * second + (1 - settings.beta2) * gradient.square()
        mean, square = (
            first / (1 - settings.beta1**number),
            second / (1 - settings.beta2**number),
        )
        epsilon = settings.epsilon
        if place == "inside":
            root = (square + epsilon).sqrt()
        elif place == "outside":
            root = square.sqrt() + epsilon
        else:
            root = square.sqrt() + epsilon / (1 - settings.beta2**number) ** 0.5
        exact -= settings.learning_rate * mean / root
    return weight, exact


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", choices=COMPILED, default="off")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--timed-batch", type=int, default=100)
    parser.add_argument("--small", action="store_true", help="few units, to try the command")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []
    name = "kernels-cuda" if device.type == "cuda" else "kernels"

    def note(setting: str, precision: str, error: float, **details: Any) -> None:
        limit = LIMITS[precision]
        is_within = limit is None or error <= limit
        rows.append(
            row(
                claim="computes what float64 gives",
                setting=setting,
                device=device_name(device),
                precision=precision,
                ours=error,
                peer=limit,
                peer_name="limit",
                unit="relative error",
                repeats=1,
                within=is_within,
                **details,
            )
        )
        write_rows(name, rows)
        took = f"{1e3 * details['seconds']:9.2f} ms" if "seconds" in details else ""
        print(f"{setting:55} {error:8.1e}{took}{'' if is_within else '  TOO MUCH'}", flush=True)

    for place in ("outside", "inside", "uncorrected"):
        note(f"Adam, epsilon {place}", "fp32", relative_error(*steps_of_adam(place, device)))
    every = list(cases(small=arguments.small))
    for compiles in COMPILED[arguments.compile]:
        for case in every:
            for way in ways_of(case, device, compiles=compiles):
                numbers = measured(case, way, device, arguments.batch, arguments.timed_batch)
                error = max(numbers["output_error"], numbers["gradient_error"])
                note(f"{case.name}, {way}", way.precision, error, **numbers)
    if not all(line["within"] for line in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
