"""Minibatch discrimination compared with broadcasting and with torch.cdist: time and memory.

    python benchmarks/minibatch_discrimination.py [--repeats 20] [--threads N ...] [--device cuda]

It times the sums of similarities, and their gradient back to the projections M [n, B, C], on one thread and
on all, or on N. The peers are the obvious ways: broadcasting, which holds all n n B C differences, and
torch.cdist, which ours calls too on a GPU. Each has a process of its own. Before the timing, sums and
gradients of the three are compared: those of a few kernels in double precision, for which ours takes
another way than for fp32, and those of all kernels in fp32.

The floor takes each pair of samples once. Each of its C components costs three operations forward
(subtract, absolute value, add) and four backward (subtract, give the weight its sign, add to one sample,
subtract from the other), at the rate of a large matrix product's instructions, which do two operations
each. It leaves out the exponentials and everything that does not grow with C.

Memory is the peak of one forward and backward in a process of its own, on a CPU.

Goal: 5 times as fast as broadcasting, 2.5 times as fast as torch.cdist. Outcome: reached for batches of 128
and 1,024; for batches of 100 only in part (docs/notes/variation.md).
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convergan.runs.provenance import device_name
from convergan.techniques.minibatch_discrimination.sums import sums_over_others
from harness.another_process import in_another_process
from harness.command_line import command_parser
from harness.measure import MatrixProduct, Task, interleaved_times, medians, memory_mb
from harness.rows import row, timing, write_rows

Sums = Callable[[Tensor, list[int]], Tensor]

OPERATIONS_PER_COMPONENT = 7

SHAPES = (
    ((100, 100, 5), [100]),
    ((100, 100, 5), [50, 50]),
    ((128, 300, 50), [128]),
    ((128, 300, 50), [64, 64]),
    ((1024, 100, 5), [1024]),
)
"""n, B and C of what is timed, and the sizes of the groups."""

MEMORY_SHAPES = ((256, 100, 5), (512, 100, 5), (512, 100, 20))


def by_broadcasting(projected: Tensor, sizes: list[int]) -> Tensor:
    similarity = torch.exp(-(projected.unsqueeze(1) - projected).abs().sum(3))
    return torch.stack([part.sum(1) for part in similarity.split(sizes, dim=1)])


def by_cdist(projected: Tensor, sizes: list[int]) -> Tensor:
    by_kernel = projected.transpose(0, 1)
    similarity = torch.exp(-torch.cdist(by_kernel, by_kernel, p=1))
    return torch.stack([part.sum(2).T for part in similarity.split(sizes, dim=2)])


# The peers' sums include each sample itself, which is a constant.
WAYS: dict[str, Sums] = {
    "ours": sums_over_others,
    "broadcasting": by_broadcasting,
    "torch.cdist": by_cdist,
}


def projections(n: int, kernels: int, kernel_size: int) -> Tensor:
    """Random projections at the distances, about 2, that the layer is initialized to."""
    return (2 / kernel_size * torch.randn(n, kernels, kernel_size)).requires_grad_()


def step_of(way: Sums, projected: Tensor, sizes: list[int], sums_gradient: Tensor) -> Tensor:
    """The gradient of the projections, given that of the sums."""
    (gradient,) = torch.autograd.grad(way(projected, sizes), projected, sums_gradient)
    return gradient


def steps_of(
    name: str, projected: Tensor, sizes: list[int], sums_gradient: Tensor, device: str
) -> Task:
    """A task: `step_of` one of the ways."""
    projected, sums_gradient = projected.to(device).requires_grad_(), sums_gradient.to(device)
    return partial(step_of, WAYS[name], projected, sizes, sums_gradient)


def require_equal(
    projected: Tensor,
    sizes: list[int],
    sums_gradient: Tensor,
    ways: Sequence[Sums],
    **tolerances: float,
) -> None:
    """Stop where our sums or gradients differ from those of other ways."""
    projected = projected.detach().requires_grad_()
    itself = torch.block_diag(*(projected.new_ones(1, size) for size in sizes)).unsqueeze(2)
    own_sums = sums_over_others(projected, sizes) + itself
    gradient = step_of(sums_over_others, projected, sizes, sums_gradient)
    for way in ways:
        torch.testing.assert_close(own_sums, way(projected, sizes), **tolerances)
        peer_gradient = step_of(way, projected, sizes, sums_gradient)
        torch.testing.assert_close(gradient, peer_gradient, **tolerances)


def measure_time(
    shape: tuple[int, int, int], sizes: list[int], repeats: int, device: str = "cpu"
) -> list[dict]:
    """A row per peer."""
    projected, sums_gradient = projections(*shape), torch.rand(len(sizes), *shape[:2])
    on_device, gradient_there = projected.detach().to(device), sums_gradient.to(device)
    small_case = on_device[:, :3].double(), sizes, gradient_there[:, :, :3].double()
    require_equal(*small_case, [by_broadcasting, by_cdist])
    # All differences at once are more than this process should hold.
    require_equal(on_device, sizes, gradient_there, [by_cdist], rtol=1e-3, atol=1e-4)
    product = MatrixProduct(device)
    with ExitStack() as processes:
        tasks = {
            name: processes.enter_context(
                in_another_process(
                    partial(steps_of, name, projected.detach(), sizes, sums_gradient, device),
                    device,
                )
            )
            for name in WAYS
        }
        times = interleaved_times(
            {**tasks, "product": product}, repeats=repeats, device=device, warm_up=1
        )
    n, kernels, kernel_size = shape
    operations = OPERATIONS_PER_COMPONENT * n * (n - 1) // 2 * kernels * kernel_size
    rate = product.operations / 2 / medians(times)["product"]
    parts = "" if len(sizes) == 1 else ", compared with both halves"
    rows = [
        timing(
            claim="minibatch discrimination is faster than broadcasting and than torch.cdist",
            setting=f"n = {n}, B = {kernels}, C = {kernel_size}{parts}",
            device=device_name(torch.device(device)),
            precision="32-true",
            times=times,
            peer=peer,
            peer_name=peer,
            unit="seconds of forward and backward",
            floor=operations / rate,
            repeats=repeats,
        )
        for peer in ("broadcasting", "torch.cdist")
    ]
    for line in rows:
        print(
            f"{line['setting']}: ours {line['ours'] * 1e3:.2f} ms, {line['peer_name']}"
            f" {line['peer'] * 1e3:.2f} ms, {line['times_faster']:.2f} times as fast,"
            f" {line['times_floor']:.1f} times the floor",
            flush=True,
        )
    return rows


def peak_mb(name: str, shape: tuple[int, int, int]) -> float:
    """Peak of memory of one forward and backward, less the memory before, in a process of its own."""
    finished = subprocess.run(
        [sys.executable, __file__, "--peak-of", name, *map(str, shape)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(finished.stdout)


def print_peak(name: str, shape: tuple[int, int, int]) -> None:
    """Work of the process of `peak_mb`. Not getrusage: that starts at the parent's peak."""
    sizes, way = [shape[0]], WAYS[name]
    small_input = projections(9, 8, shape[2])
    step_of(way, small_input, [9], torch.ones(1, 9, 8))  # what torch loads only when it is used
    projected, sums_gradient = projections(*shape), torch.ones(1, *shape[:2])
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak so far
    initial_mb = memory_mb("VmRSS")
    step_of(way, projected, sizes, sums_gradient)
    print(memory_mb("VmHWM") - initial_mb)


def measure_memory(shape: tuple[int, int, int]) -> list[dict]:
    """A row per peer."""
    n, kernels, kernel_size = shape
    peaks = {name: peak_mb(name, shape) for name in WAYS}
    unit = 4 * (n * kernels * kernel_size + n * n * kernels) / 1e6
    rows = [
        row(
            claim="memory grows with n B C + n n B, never with n n B C",
            setting=f"n = {n}, B = {kernels}, C = {kernel_size}",
            device=device_name(torch.device("cpu")),
            precision="32-true",
            ours=peaks["ours"],
            peer=peaks[peer],
            peer_name=peer,
            unit="MB at the peak of forward and backward",
            repeats=1,
            ours_over_numbers=peaks["ours"] / unit,
            peer_over_numbers=peaks[peer] / unit,
        )
        for peer in ("broadcasting", "torch.cdist")
    ]
    for line in rows:
        print(
            f"{line['setting']}: ours {line['ours']:.0f} MB,"
            f" {line['ours_over_numbers']:.2f} times n B C + n n B numbers,"
            f" {line['peer_name']} {line['peer']:.0f} MB",
            flush=True,
        )
    return rows


def repeats_of(shape: tuple[int, int, int], maximum: int) -> int:
    """A quarter where a step is long, but at least 3 if there may be as many."""
    n, kernels, kernel_size = shape
    return maximum if n * n * kernels * kernel_size < 10**8 else min(maximum, max(3, maximum // 4))


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=20, help="fewer where a step is long")
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peak-of", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.peak_of:
        name, n, kernels, kernel_size = arguments.peak_of
        print_peak(name, (int(n), int(kernels), int(kernel_size)))
        return
    rows: list[dict[str, Any]] = []
    cores = torch.get_num_threads()
    threads, name = arguments.threads or sorted({1, cores}), "minibatch-discrimination"
    if arguments.device == "cuda":
        threads, name = [cores], f"{name}-cuda"
    else:
        for shape in MEMORY_SHAPES:
            rows += measure_memory(shape)
    for number in threads:
        torch.set_num_threads(number)
        for shape, sizes in SHAPES:
            repeats = repeats_of(shape, arguments.repeats)
            rows += measure_time(shape, sizes, repeats, arguments.device)
    print(write_rows(name, rows))


if __name__ == "__main__":
    main()
