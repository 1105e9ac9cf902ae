"""How a run computes on its device: precision of each term, noise, memory layout, compilation."""

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

    By the names that manifest.json and results.json have had from the first: Lightning's. Which CPUs have
    units that pay depends on the networks, if they are given.
    """
    chosen = hardware.precision
    bf16 = _has_bf16_units(device, networks) if chosen == "auto" else chosen == "bf16"
    return "bf16-mixed" if bf16 else "32-true"


def discriminator_dtype(precision: Literal["32-true", "bf16-mixed"]) -> torch.dtype:
    """What the matrix products of the discriminator's and the baseline's step are computed in."""
    return torch.bfloat16 if precision == "bf16-mixed" else torch.float32


def precision_of_terms(precision: Literal["32-true", "bf16-mixed"]) -> dict[str, str]:
    """What a precision means for each part of a step.

    Feature matching compares small differences of means, and with the generator's step in bf16 training
    diverges within five epochs of MNIST; the discriminator's step in bf16 trains as in fp32. Softmax,
    logarithms and means of the losses are taken in fp32, and so are weights and optimizers, always. fp32 is
    meant in full, not TF32.
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
    """A line for the terminal on the device and the precision of a run, and of each of its players."""
    terms = precision_of_terms(resolved_precision(hardware, device, networks))
    terms = {name: kind for name, kind in terms.items() if name == "losses" or name in players}
    return f"{device_name(device)}; {', '.join(f'{term} {kind}' for term, kind in terms.items())}"


def uses_noise_bank(hardware: HardwareSettings, device: torch.device) -> bool:
    """Whether noise is cut out of a bank: on a GPU drawing it costs little, and a compiled network would
    break into pieces wherever the place of a cut is drawn."""
    return hardware.noise == "auto" and device.type == "cpu" and not hardware.compile


def memory_layout(device: torch.device, network: Discriminator | Generator) -> torch.memory_format:
    """Of images and convolutions: channels last on a GPU, whose tensor cores want it, and for networks that
    are quicker so on a CPU: not the paper's."""
    last = device.type == "cuda" or network.channels_last
    return torch.channels_last if last else torch.contiguous_format


def compiled(network: nn.Module, hardware: HardwareSettings, device: torch.device) -> nn.Module:
    """The network, compiled if so wished: on a GPU as CUDA graphs, which launch a pass at once."""
    if not hardware.compile:
        return network
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(network, mode=mode, dynamic=False)  # type: ignore[return-value]


def require_compiler(hardware: HardwareSettings) -> None:
    """Checks that there is a compiler for the C++ that torch makes of a network on a CPU.

    Raises:
        UserError: there is no C++ compiler.
    """
    on_gpu = hardware.accelerator in ("auto", "cuda") and torch.cuda.is_available()
    if not hardware.compile or on_gpu:
        return
    # Where torch looks, too.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"hardware.compile: expected a C++ compiler, got none by the name of {compiler}; "
            "the environment's CXX can name another"
        )


def begin_step(hardware: HardwareSettings, device: torch.device) -> None:
    """Tells CUDA graphs that what the last step left will not be read again."""
    if hardware.compile and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()


def _has_bf16_units(device: torch.device, networks: NetworkSettings | None) -> bool:
    """Whether bf16 products are faster than fp32 ones with all that is around them; emulated they are not.

    Convolutions gain from a CPU's vector units (AVX512-BF16) too, dense layers from its tiles (AMX) alone.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    probes = ["_is_amx_tile_supported"]
    if isinstance(networks, ResidualSettings | ModuleSettings):
        probes.append("_is_avx512_bf16_supported")
    # The names are torch's own, not promised to stay; without them fp32 is always right.
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
