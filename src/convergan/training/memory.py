"""How much memory there is, and whether a training fits in it."""

import os
from pathlib import Path

import torch

from convergan.errors import UserError
from convergan.recipes.settings import MLPSettings, Recipe
from convergan.training.computation import resolved_precision
from convergan.training.cost import Cost, training_cost
from convergan.units import bytes_in_words

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container's memory: cgroups 2 and 1. Without a limit the first says "max", the other a huge number."""


def memory_limit(device: torch.device, processes: int = 1) -> tuple[int, str] | None:
    """The bytes that this process can still take on a device at the very most, and what sets the limit.

    On a CPU the least of what the machine has, what its container may have (cgroups) and the process's
    address space (`ulimit -v`), each without what the process has already. Other processes are not counted,
    as they may end, but for those that train together: they share the machine and its container.

    Args:
        device: where it is to train.
        processes: that train together, on all machines.

    Returns:
        The bytes, and words for a sentence: "... GB that this machine has". None where nothing tells.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0], "are free on the GPU"
    address_space, resident = _own_bytes()
    # torchrun tells how many of them are on this machine.
    local = min(processes, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))
    each = f" for each of {local} processes" if local > 1 else ""
    limits = []
    if hasattr(os, "sysconf"):
        of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limits.append((of_machine // local - resident, f"this machine has{each}"))
    for file in _CGROUP_LIMITS:
        try:
            of_container = int(file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        limits.append((of_container // local - resident, f"its container may have{each}"))
    if os.name == "posix":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append((soft - address_space, "the process may have (ulimit -v)"))
    if not limits:
        return None
    size, whose = min(limits)
    return max(0, size), whose


def device_cost(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    outputs: int,
    *,
    device: torch.device,
    processes: int = 1,
) -> Cost:
    """`cost.training_cost` on a device, in the precision that it computes in."""
    return training_cost(
        recipe,
        image_shape,
        outputs,
        bf16=resolved_precision(recipe.hardware, device) == "bf16-mixed",
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
) -> Cost:
    """Checks that training fits in the memory that there is, as far as that can be told beforehand.

    Args:
        recipe: all settings.
        image_shape: channels, height and width.
        outputs: classes, 1 where there are none.
        device: where it is to train.
        processes: that share each batch.
        images_bytes: images that will lie in the device's memory and do not yet.

    Returns:
        What training costs.

    Raises:
        UserError: it needs more than the device or the process can have; or the networks cannot take such
            images.
    """
    cost = device_cost(recipe, image_shape, outputs, device=device, processes=processes)
    needed = cost.memory_bytes + images_bytes
    known = memory_limit(device, processes)
    if known is not None and needed > known[0]:
        limit, whose = known
        _, height, width = image_shape
        narrower = (
            "--networks.hidden" if isinstance(recipe.networks, MLPSettings) else "--networks.width"
        )
        raise UserError(
            f"batch-size: expected a training that fits in the {bytes_in_words(limit)} that {whose}, got "
            f"{recipe.batch_size} images of {width}x{height} px, for which these networks take about "
            f"{bytes_in_words(needed)}; a smaller --batch-size, --data.size-px or {narrower} takes less"
        )
    return cost


def _own_bytes() -> tuple[int, int]:
    """The address space and the memory of this process; 0 where the system does not say."""
    try:
        total, resident, *_ = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(total) * page, int(resident) * page
