"""fp32 is fp32 whatever a process has set in torch, and its settings come back."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from convergan.networks.precision import without_tf32

BACKENDS: Any = torch.backends
CONVOLUTION, PRODUCT = BACKENDS.cudnn.conv, BACKENDS.cuda.matmul
PRODUCT_ON_CPU = BACKENDS.mkldnn.matmul


def precisions() -> list[str]:
    return [switch.fp32_precision for switch in (CONVOLUTION, PRODUCT, PRODUCT_ON_CPU)]


def for_all_products() -> None:
    torch.set_float32_matmul_precision("medium")


def for_products_on_a_gpu() -> None:
    PRODUCT.fp32_precision = "tf32"


@pytest.fixture(autouse=True)
def nothing_changed() -> Iterator[None]:
    initial = precisions()
    yield
    torch.set_float32_matmul_precision("highest")
    for switch, precision in zip((CONVOLUTION, PRODUCT, PRODUCT_ON_CPU), initial, strict=True):
        switch.fp32_precision = precision


@pytest.mark.parametrize("set_precision", [for_all_products, for_products_on_a_gpu, lambda: None])
def test_what_the_process_told_comes_back(set_precision: Callable[[], None]) -> None:
    set_precision()
    initial = precisions()
    assert "tf32" in initial
    with without_tf32():
        assert precisions() == 3 * ["ieee"]
        # The compiler asks these, and an answer is an error where torch finds them to differ.
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32 and not PRODUCT.allow_tf32
    assert precisions() == initial


def test_the_last_to_leave_puts_it_back() -> None:
    initial = precisions()
    entered, leave = threading.Event(), threading.Event()

    def hold_tf32_off() -> None:
        with without_tf32():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold_tf32_off, daemon=True)
    try:
        with without_tf32():
            thread.start()
            assert entered.wait(timeout=60)
        assert precisions() == 3 * ["ieee"]
    finally:
        leave.set()
        thread.join(timeout=60)
    assert precisions() == initial
