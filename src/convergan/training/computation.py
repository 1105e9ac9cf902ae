"""Arithmetic of a run on its device: precision, noise, memory layout, compilation."""

import os
import shutil
import sys
from collections.abc import Collection
from typing import Literal

import torch
from torch import nn

from convergan.errors import UserError
from convergan.networks.interface import Discriminator, Generator
from convergan.recipes.networks import ModuleSettings, NetworkSettings, ResidualSettings
from convergan.recipes.settings import HardwareSettings
from convergan.runs.provenance import device_name


def resolved_precision(
    hardware: HardwareSettings, device: torch.device, networks: NetworkSettings | None = None
) -> Literal["32-true", "bf16-mixed"]:
    """The precision of the discriminator's and the baseline's matrix products on this device.

    The names are Lightning's, as manifest.json and results.json have had them from the first version. Whether
    the bf16 units of a CPU are worth using depends on the networks, if they are given.
    """
    precision = hardware.precision
    bf16 = _has_bf16_units(device, networks) if precision == "auto" else precision == "bf16"
    return "bf16-mixed" if bf16 else "32-true"


def discriminator_dtype(precision: Literal["32-true", "bf16-mixed"]) -> torch.dtype:
    """Type in which the matrix products of the discriminator's and the baseline's step are computed."""
    return torch.bfloat16 if precision == "bf16-mixed" else torch.float32


def precision_of_terms(precision: Literal["32-true", "bf16-mixed"]) -> dict[str, str]:
    """Precision of each part of a step, by name: "fp32" or "bf16".

    Feature matching compares small differences of means: with the generator's step in bf16, training on MNIST
    diverges within five epochs, whereas the discriminator's step trains as well as in fp32. Softmax,
    logarithms and means of the losses, weights and optimizers are always in fp32. fp32 means full precision,
    not TF32.
    """
    products = "fp32" if discriminator_dtype(precision) == torch.float32 else "bf16"
    return {"discriminator": products, "baseline": products, "generator": "fp32", "losses": "fp32"}


def computation_sentence(
    hardware: HardwareSettings,
    device: torch.device,
    networks: NetworkSettings | None = None,
    *,
    players: Collection[str] = ("discriminator", "baseline", "generator"),
) -> str:
    """A line for the terminal about the device of a run and the precision of each of its players."""
    terms = precision_of_terms(resolved_precision(hardware, device, networks))
    terms = {name: kind for name, kind in terms.items() if name == "losses" or name in players}
    return f"{device_name(device)}; {', '.join(f'{term} {kind}' for term, kind in terms.items())}"


def uses_noise_bank(hardware: HardwareSettings, device: torch.device) -> bool:
    """True if noise is cut out of a bank. On a GPU, drawing noise costs little, and drawing the place of a
    cut would break a compiled network into pieces.
    """
    return hardware.noise == "auto" and device.type == "cpu" and not hardware.compile


def memory_layout(device: torch.device, network: Discriminator | Generator) -> torch.memory_format:
    """Memory layout of images and convolutions: channels last on a GPU, whose tensor cores need it, and for
    networks that it makes faster on a CPU (not the paper's).
    """
    last = device.type == "cuda" or network.channels_last
    return torch.channels_last if last else torch.contiguous_format


def compiled(network: nn.Module, hardware: HardwareSettings, device: torch.device) -> nn.Module:
    """The network, compiled if `hardware.compile` is on. On a GPU, CUDA graphs launch a whole pass at
    once.
    """
    if not hardware.compile:
        return network
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(network, mode=mode, dynamic=False)  # type: ignore[return-value]


def require_compiler(hardware: HardwareSettings) -> None:
    """Check that there is a compiler for the C++ code that torch generates for a network on a CPU.

    Raises:
        UserError: there is no C++ compiler.
    """
    on_gpu = hardware.accelerator in ("auto", "cuda") and torch.cuda.is_available()
    if not hardware.compile or on_gpu:
        return
    # torch uses the same variable and defaults.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"hardware.compile: expected a C++ compiler, got none by the name of {compiler}; "
            "the environment variable CXX can name another"
        )


def begin_step(hardware: HardwareSettings, device: torch.device) -> None:
    """Tell CUDA graphs that the outputs of the last step will not be read again."""
    if hardware.compile and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()


def _has_bf16_units(device: torch.device, networks: NetworkSettings | None) -> bool:
    """True if bf16 products, with their conversions, are faster than fp32 products. Emulated ones are not.

    On a CPU, convolutions gain from vector units (AVX512-BF16) and from tiles (AMX), dense layers only from
    tiles.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    probes = ["_is_amx_tile_supported"]
    if isinstance(networks, ResidualSettings | ModuleSettings):
        probes.append("_is_avx512_bf16_supported")
    # These names are private to torch and may vanish; without them fp32 is always right.
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
