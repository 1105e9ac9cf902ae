"""Limits of memory, and the check that a training fits in them."""

import os
from pathlib import Path

import torch

from convergan.errors import UserError
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.networks import MLPSettings, PretrainedSettings
from convergan.recipes.settings import Recipe
from convergan.training.computation import resolved_precision
from convergan.training.cost import Cost, classifying_bytes, training_cost
from convergan.units import bytes_in_words

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Files with a container's memory limit, for cgroups 2 and 1. Without a limit they contain "max" or a huge
number."""


def memory_limit(device: torch.device, processes: int = 1) -> tuple[int, str] | None:
    """The largest number of bytes that this process can still allocate on a device, and the source of the
    limit.

    On a CPU it is the smallest of the machine's memory, its container's limit (cgroups) and the limit of the
    process's address space (`ulimit -v`), each without the bytes that the process already has. Other
    processes are ignored, as they may end, except those that train together, which share the machine and its
    container.

    Args:
        device: device to train on.
        processes: number of processes that train together, on all machines.

    Returns:
        The bytes, and words for a sentence: "... GB that this machine has". None if no limit is known.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0], "are free on the GPU"
    address_space, resident = _own_bytes()
    # torchrun sets how many of them are on this machine.
    local = min(processes, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))
    sharing = f" for each of {local} processes" if local > 1 else ""
    limits = []
    if hasattr(os, "sysconf"):
        machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limits.append((machine_bytes // local - resident, f"this machine has{sharing}"))
    for file in _CGROUP_LIMITS:
        try:
            container_bytes = int(file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        limits.append((container_bytes // local - resident, f"its container may have{sharing}"))
    if os.name == "posix":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append((soft - address_space, "the process may have (ulimit -v)"))
    if not limits:
        return None
    size, limited_by = min(limits)
    return max(0, size), limited_by


def device_cost(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    device: torch.device,
    processes: int = 1,
) -> Cost:
    """The cost of training (`cost.training_cost`) on a device, with the precision that is used on it."""
    return training_cost(
        recipe,
        image_shape,
        outputs,
        bf16=resolved_precision(recipe.hardware, device, recipe.networks) == "bf16-mixed",
        processes=processes,
        device_type=device.type,
    )


def require_memory(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    device: torch.device,
    processes: int = 1,
    images_bytes: int = 0,
    arm: str | None = None,
) -> Cost:
    """Check that training fits in memory, as far as that is known beforehand.

    Args:
        recipe: all settings.
        image_shape: channels, height and width.
        outputs: number of classes; 1 if there are none.
        device: device to train on.
        processes: number of processes that share each batch.
        images_bytes: size of the images that have yet to be loaded into the device's memory.
        arm: name of the arm that the recipe belongs to; None in a run without arms.

    Returns:
        The cost of training.

    Raises:
        UserError: training needs more memory than the device or the process can have, or the networks cannot
            take such images.
    """
    cost = device_cost(recipe, image_shape, outputs, device=device, processes=processes)
    needed_bytes = cost.memory_bytes + images_bytes
    available = memory_limit(device, processes)
    if available is not None and needed_bytes > available[0]:
        limit, limited_by = available
        _, height, width = image_shape
        narrower = (
            "--networks.hidden" if isinstance(recipe.networks, MLPSettings) else "--networks.width"
        )
        arm_phrase = "" if arm is None else f" of the arm {arm}"
        raise UserError(
            f"batch-size: expected a training{arm_phrase} that fits in the {bytes_in_words(limit)} that "
            f"{limited_by}, got {recipe.batch_size} images of {width}x{height} px, for which these networks "
            f"take about {bytes_in_words(needed_bytes)}; a smaller --batch-size, --data.size-px or "
            f"{narrower} takes less"
        )
    return cost


def require_memory_of_frozen(
    network: PretrainedDiscriminator,
    settings: PretrainedSettings,
    image_shape: tuple[int, int, int],
    *,
    device: torch.device,
    processes: int = 1,
) -> None:
    """Check that the arm `frozen` fits in memory, as far as that is known beforehand.

    Args:
        network: network of the arm, whose weights are in memory already if the device is a CPU.
        settings: settings of the network.
        image_shape: channels, height and width.
        device: device to train on.
        processes: number of processes that train together.

    Raises:
        UserError: it needs more memory than the device or the process can have.
    """
    needed_bytes = classifying_bytes(network, image_shape, device_type=device.type)
    available = memory_limit(device, processes)
    if available is not None and needed_bytes > available[0]:
        limit, limited_by = available
        raise UserError(
            f"frozen.size-px: expected a network of the arm frozen that fits in the {bytes_in_words(limit)} "
            f"that {limited_by}, got {settings.model} on images of about {settings.size_px} px, which takes "
            f"about {bytes_in_words(needed_bytes)}"
        )


def _own_bytes() -> tuple[int, int]:
    """Bytes of address space and of resident memory of this process; 0 if the system does not tell."""
    try:
        total, resident, *_ = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(total) * page, int(resident) * page
