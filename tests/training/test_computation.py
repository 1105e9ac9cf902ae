"""The computation of a run: what is chosen, what is recorded, and that no choice changes what is computed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from rich.console import Console
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from convergan.errors import UserError
from convergan.networks.build import build_discriminator
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.noise import NoiseBank, use_bank
from convergan.recipes.networks import MLPSettings, ModuleSettings, ResidualSettings
from convergan.recipes.settings import FORMER_PRECISIONS, HardwareSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.training import computation, step
from convergan.training.computation import (
    compiled,
    discriminator_dtype,
    memory_layout,
    precision_of_terms,
    resolved_precision,
    uses_noise_bank,
)
from convergan.training.objective import total
from convergan.training.run import RunOptions, train

CPU = torch.device("cpu")


@pytest.mark.parametrize(("amx", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_bf16_where_the_cpu_has_units_for_it(
    amx: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert resolved_precision(HardwareSettings(), CPU) == expected
    assert resolved_precision(HardwareSettings(precision="fp32"), CPU) == "32-true"
    assert resolved_precision(HardwareSettings(precision="bf16"), CPU) == "bf16-mixed"


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (ResidualSettings(), "bf16-mixed"),
        (ModuleSettings(module="mine.Net"), "bf16-mixed"),
        (MLPSettings(), "32-true"),
    ],
)
def test_vector_units_are_enough_for_convolutions_with_channels_last(
    networks: ResidualSettings | ModuleSettings | MLPSettings,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert resolved_precision(HardwareSettings(), CPU, networks) == expected


def test_the_generator_and_the_losses_are_never_reduced() -> None:
    terms = precision_of_terms("bf16-mixed")
    assert (terms["discriminator"], terms["baseline"]) == ("bf16", "bf16")
    assert (terms["generator"], terms["losses"]) == ("fp32", "fp32")
    assert set(precision_of_terms("32-true").values()) == {"fp32"}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_passes_are_in_the_precision_that_is_told(
    precision: Literal["32-true", "bf16-mixed"],
    quick_recipe: Recipe,
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hardware = replace(quick_recipe.hardware, precision=precision)
    recipe = replace(quick_recipe, epochs=1, hardware=hardware)
    passes: list[tuple[str, int, torch.dtype]] = []
    parts: list[torch.Tensor] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if any(isinstance(weight, FakeTensor) for weight in module.parameters()):
            # A pass of the estimate of what training takes.
            return
        if module.training and isinstance(module, Discriminator):
            passes.append(("discriminator", len(output.logits), output.logits.dtype))
        if module.training and isinstance(module, Generator):
            passes.append(("generator", len(output), output.dtype))

    def summed(terms: dict[str, torch.Tensor]) -> torch.Tensor:
        parts.extend(terms.values())
        return total(terms)

    monkeypatch.setattr(step, "total", summed)
    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        train(recipe, tmp_path / "run", console=quiet)
    finally:
        hook.remove()
    size = recipe.batch_size
    reduced = discriminator_dtype(precision)
    step_passes = [
        ("generator", size, torch.float32),
        ("discriminator", 3 * size, reduced),
        ("discriminator", size, torch.float32),
        ("generator", size, torch.float32),
        ("discriminator", size, torch.float32),
        # The baseline.
        ("discriminator", size, reduced),
    ]
    # The first two initialize the discriminator and the baseline.
    steps = (len(passes) - 2) // len(step_passes)
    assert steps > 5
    assert passes[2:] == step_passes * steps
    assert {part.dtype for part in parts} == {torch.float32}
    terms = precision_of_terms(precision)
    assert (terms["discriminator"] == "bf16") == (reduced == torch.bfloat16)


def test_fp32_is_not_tf32_while_training(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolutions: Any = torch.backends.cudnn.conv
    initial_precision = convolutions.fp32_precision
    precisions = set()

    def summed(terms: dict[str, torch.Tensor]) -> torch.Tensor:
        precisions.add(convolutions.fp32_precision)
        return total(terms)

    monkeypatch.setattr(step, "total", summed)
    train(replace(quick_recipe, epochs=1), tmp_path / "run", console=quiet)
    assert precisions == {"ieee"} and initial_precision != "ieee"
    assert convolutions.fp32_precision == initial_precision


def test_without_a_compiler_nothing_begins(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    hardware = replace(quick_recipe.hardware, accelerator="cpu", compile=True)
    with pytest.raises(UserError, match=r"hardware.compile: .* got none .* no-such-compiler"):
        train(replace(quick_recipe, hardware=hardware), tmp_path / "run", console=quiet)
    assert not (tmp_path / "run").exists()


def test_a_gpu_gets_channels_last_and_fresh_noise() -> None:
    gpu = torch.device("cuda")
    networks = {
        kind: build_discriminator(settings, (3, 16, 16), 2)
        for kind, settings in (("mlp", MLPSettings()), ("residual", ResidualSettings()))
    }
    for network in networks.values():
        assert memory_layout(gpu, network) == torch.channels_last
    assert memory_layout(CPU, networks["mlp"]) == torch.contiguous_format
    assert memory_layout(CPU, networks["residual"]) == torch.channels_last
    assert not uses_noise_bank(HardwareSettings(), gpu)
    assert uses_noise_bank(HardwareSettings(), CPU)
    assert not uses_noise_bank(HardwareSettings(noise="fresh"), CPU)
    assert not uses_noise_bank(HardwareSettings(compile=True), CPU)


def test_the_precision_is_printed_and_recorded(trained_run: Path) -> None:
    manifest = json.loads((trained_run / "manifest.json").read_text())
    results = json.loads((trained_run / "results.json").read_text())
    assert (
        manifest["precision"] == results["precision"] == resolved_precision(HardwareSettings(), CPU)
    )
    assert manifest["precision_of_terms"] == precision_of_terms(results["precision"])
    sentence = computation.computation_sentence(HardwareSettings(precision="bf16"), CPU)
    assert "discriminator bf16" in sentence and "baseline bf16" in sentence
    assert "generator fp32" in sentence
    alone = computation.computation_sentence(HardwareSettings(), CPU, players=["discriminator"])
    assert "discriminator" in alone and "baseline" not in alone and "generator" not in alone


def test_a_run_does_not_go_on_in_another_precision(
    quick_recipe: Recipe,
    trained_run: Path,
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "results.json").unlink()
    other_precision = (
        "bf16-mixed" if resolved_precision(HardwareSettings(), CPU) == "32-true" else "32-true"
    )
    monkeypatch.setattr(
        torch.cpu, "_is_amx_tile_supported", lambda: other_precision == "bf16-mixed", raising=False
    )
    words = FORMER_PRECISIONS[other_precision]
    with pytest.raises(UserError, match=r"hardware.precision: expected .* as when .* got " + words):
        train(quick_recipe, run, options=RunOptions(resume=True), console=quiet)


def test_bf16_and_fresh_noise_train_as_well(
    quick_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    hardware = replace(quick_recipe.hardware, precision="bf16-mixed", noise="fresh")
    train(replace(quick_recipe, hardware=hardware), tmp_path / "run", console=quiet)
    reference = read_metrics(trained_run / "metrics.jsonl")[-1].losses
    losses = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1].losses
    assert losses["discriminator/supervised"] == pytest.approx(
        reference["discriminator/supervised"], rel=0.2
    )


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_network_with_noise_compiles_in_one_piece() -> None:
    hardware = HardwareSettings(compile=True)
    network = discriminator_with(noise=0.5)
    use_bank(network, NoiseBank() if uses_noise_bank(hardware, CPU) else None)
    compiled_network = torch.compile(network, fullgraph=True, backend="aot_eager")
    inputs = torch.rand(5, 1, 2, 2)
    assert not torch.equal(compiled_network(inputs).logits, compiled_network(inputs).logits)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_network_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked_shapes: None
) -> None:
    # A folder of its own: what other processes compile at the same time stays theirs.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    network = discriminator_with(noise=0.0)
    assert compiled(network, HardwareSettings(), CPU) is network
    faster = compiled(network, HardwareSettings(compile=True), CPU)
    inputs = torch.rand(5, 1, 2, 2)
    outputs = [model(inputs).logits for model in (faster, network)]
    torch.testing.assert_close(*outputs)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    gradients = [torch.autograd.grad(output.square().sum(), weights) for output in outputs]
    torch.testing.assert_close(*gradients)


def discriminator_with(noise: float) -> Discriminator:
    torch.manual_seed(0)
    settings = MLPSettings(hidden=(4, 3), input_noise=noise, hidden_noise=noise)
    return build_discriminator(settings, (1, 2, 2), 3)
