"""Members of an ensemble trained step by step in one computation, held against training them apart."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from convergan.errors import UserError
from convergan.networks import noise
from convergan.recipes.members import member_recipes
from convergan.recipes.networks import MLPSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import HistoricalAveragingSettings
from convergan.runs.checkpoints import checkpoint_steps, drop_newest_checkpoint
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.model import load_classifier
from convergan.training import joint_game
from convergan.training.joint_game import JointGame
from convergan.training.loop import Turn
from convergan.training.noise import StepNoise
from convergan.training.preparation import prepare
from convergan.training.run import RunOptions, train
from convergan.training.signals import Interrupted
from convergan.training.state import TrainingState
from convergan.training.step import Game
from convergan.training.together import trains_together
from small_game import RECIPE, game_of
from support import equal_states

SEEDS = (0, 1, 2)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make float64 of all that is float32 otherwise."""
    default_dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(default_dtype)


def games_of(recipe: Recipe) -> list[tuple[Game, TrainingState]]:
    """The game of each member, at its first step."""
    games = []
    for member in member_recipes(replace(recipe, members=len(SEEDS))):
        game, state = game_of(member)
        networks = [player.network for player in state.players.values()]
        bank = StepNoise(member, networks, torch.device("cpu"))
        games.append((replace(game, noise=bank), state))
    return games


def weights_of(state: TrainingState) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{kind}/{key}": value.clone()
        for name, player in state.players.items()
        for kind, network in (("network", player.network), ("tested", player.tested))
        for key, value in network.state_dict().items()
    }


@pytest.mark.parametrize(("kind", "turns"), [("fresh", 2), ("auto", 1)])
def test_twenty_updates_together_are_those_of_members_apart(
    kind: str,
    turns: int,
    in_float64: None,
    monkeypatch: pytest.MonkeyPatch,
    unchecked_shapes: None,
) -> None:
    monkeypatch.setattr(noise.NoiseBank.__init__, "__defaults__", ("cpu", 2**16))
    recipe = replace(
        RECIPE,
        networks=MLPSettings(hidden=(12, 10), generator_hidden=(9, 7), latent_size=5),
        hardware=HardwareSettings(accelerator="cpu", precision="fp32", noise=kind),  # type: ignore[arg-type]
        objective=replace(RECIPE.objective, generator_steps=turns),
    )
    separate, combined = games_of(recipe), games_of(recipe)
    start = [weights_of(state) for _, state in separate]
    joint = JointGame([Turn(game, state, 0.01) for game, state in combined])
    for step in range(20):
        rate = 0.01 / (1 + step)
        results = joint.step([Turn(game, state, rate) for game, state in combined])
        for (game, state), (parts, scores) in zip(separate, results, strict=True):
            expected_parts, expected_scores = game.step(state, rate)
            assert parts.keys() == expected_parts.keys()
            for name, part in expected_parts.items():
                assert part.dtype == torch.float64
                assert part.item() == pytest.approx(parts[name].item(), abs=1e-8)
            assert torch.allclose(scores, expected_scores, atol=1e-8, rtol=0)
        for _, state in (*separate, *combined):
            state.step += 1
            state.position = state.step % 3
    for start_weights, (_, separate_state), (_, combined_state) in zip(
        start, separate, combined, strict=True
    ):
        separate_weights, combined_weights = weights_of(separate_state), weights_of(combined_state)
        for name, weight in separate_weights.items():
            assert torch.allclose(weight, combined_weights[name], atol=1e-8, rtol=0), name
        moved = [
            name
            for name in separate_weights
            if not torch.equal(separate_weights[name], start_weights[name])
        ]
        assert len(moved) > len(separate_weights) / 2
        # Later random numbers are the same as well: what follows does not depend on the way of computing.
        for name, stream in separate_state.streams.items():
            assert equal_states(stream.state_dict(), combined_state.streams[name].state_dict())
        assert equal_states(
            separate_state.players["discriminator"].optimizer.state_dict()["param_groups"],
            combined_state.players["discriminator"].optimizer.state_dict()["param_groups"],
        )


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    preset = PRESETS["digits"]
    return replace(
        preset,
        epochs=2,
        steps=6,
        members=3,
        networks=MLPSettings(hidden=(30, 20), generator_hidden=(20,), latent_size=10),
        hardware=replace(preset.hardware, members="together"),
    )


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A finished ensemble with a checkpoint at every step. Tests must leave it as it is."""
    out = tmp_path_factory.mktemp("runs") / "together"
    train(recipe, out, options=EVERY_STEP, console=Console(quiet=True))
    return out


EVERY_STEP = RunOptions(resume=True, checkpoint_every_seconds=0)


def member_of(run: Path, seed: int) -> Path:
    return run / "members" / str(seed)


def weights_in(run: Path) -> list[bytes]:
    return [
        (member_of(run, seed) / "model" / name).read_bytes()
        for seed in SEEDS
        for name in ("classifier.safetensors", "generator.safetensors")
    ]


def test_members_trained_together_are_runs_like_those_trained_apart(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    member_recipe = member_recipes(recipe)[1]
    train(member_recipe, tmp_path / "alone", console=quiet)
    member = member_of(ensemble, 1)
    assert {path.name for path in member.iterdir()} == {
        path.name for path in (tmp_path / "alone").iterdir()
    }
    assert [path.name for path in sorted((member / "samples").iterdir())] == [
        path.name for path in sorted((tmp_path / "alone" / "samples").iterdir())
    ]
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (member, tmp_path / "alone")
    ]
    for member_line, alone_line in zip(*lines, strict=True):
        assert member_line.keys() == alone_line.keys()
        assert member_line["losses"] == pytest.approx(alone_line["losses"], rel=1e-2)
    weights = [load_classifier(run).network.state_dict() for run in (member, tmp_path / "alone")]
    for name, weight in weights[0].items():
        # In float32 a step's last digits differ, and later steps amplify the difference.
        assert torch.allclose(weight, weights[1][name], atol=2e-2), name


def test_a_process_that_was_killed_while_some_had_checkpoints_is_made_good_bit_for_bit(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    shutil.copytree(ensemble, out)
    (out / "results.json").unlink()
    for seed in SEEDS:
        (member_of(out, seed) / "results.json").unlink()
        shutil.rmtree(member_of(out, seed) / "model")
    # The first member has written the checkpoint of the last step, the others have not.
    for seed in SEEDS[1:]:
        drop_newest_checkpoint(member_of(out, seed) / "checkpoints")
    assert len({max(checkpoint_steps(member_of(out, seed) / "checkpoints")) for seed in SEEDS}) == 2
    train(recipe, out, options=EVERY_STEP, console=quiet)
    assert weights_in(out) == weights_in(ensemble)


def test_a_signal_stops_all_members_at_the_same_step(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_taken = []
    step = JointGame.step

    def stopped(game: JointGame, turns: list[Turn]) -> object:
        steps_taken.append(turns[0].state.step)
        if len(steps_taken) == 3:
            signal.raise_signal(signal.SIGINT)
        return step(game, turns)

    out = tmp_path / "stopped"
    options = RunOptions(resume=True, checkpoint_every_seconds=1000)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(joint_game.JointGame, "step", stopped)
        train(recipe, out, options=options, console=quiet)
    steps = [checkpoint_steps(member_of(out, seed) / "checkpoints") for seed in SEEDS]
    # The step that was under way, and the one after it.
    assert steps == [[4, 0]] * 3
    train(recipe, out, options=options, console=quiet)
    assert weights_in(out) == weights_in(ensemble)


def test_the_time_of_members_is_no_longer_than_they_took(
    recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    begun = time.monotonic()
    results = train(recipe, tmp_path / "timed", console=quiet)
    passed = time.monotonic() - begun
    members = [RunFolder(member_of(tmp_path / "timed", seed)) for seed in SEEDS]
    seconds = [folder.read_results().train_seconds for folder in members]  # type: ignore[union-attr]
    assert min(seconds) > 0
    assert sum(seconds) == pytest.approx(results.train_seconds) and results.train_seconds < passed
    lines = [line for folder in members for line in read_metrics(folder.metrics)]
    assert len(lines) == 2 * len(SEEDS)
    assert sum(line.seconds_per_epoch for line in lines) < passed


def test_members_whose_steps_differ_go_on_apart(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    out = tmp_path / "differing"
    shutil.copytree(ensemble, out)
    (out / "results.json").unlink()
    shutil.rmtree(member_of(out, 2))
    results = train(recipe, out, options=EVERY_STEP, console=quiet)
    assert len(results.members) == 3
    assert weights_in(out)[:4] == weights_in(ensemble)[:4]


def test_small_perceptrons_are_trained_together_on_a_cpu_and_others_are_not(recipe: Recipe) -> None:
    cpu, options = torch.device("cpu"), RunOptions()
    preparation = prepare(recipe, None, processes=1)
    auto = replace(recipe, hardware=replace(recipe.hardware, members="auto"))

    def decides_together(recipe: Recipe, options: RunOptions = options) -> bool:
        return trains_together(replace(preparation, recipe=recipe), cpu, options)

    assert decides_together(replace(PRESETS["digits"], members=2))
    assert decides_together(auto)
    assert not decides_together(replace(auto, networks=MLPSettings(hidden=(1000, 500))))
    assert not decides_together(replace(auto, hardware=replace(auto.hardware, members="apart")))
    assert not decides_together(auto, RunOptions(on_divergence="rollback"))
    history = replace(
        auto,
        objective=replace(
            ObjectiveSettings(), historical_averaging=HistoricalAveragingSettings(weight=0.1)
        ),
    )
    assert not decides_together(history)
    shared = replace(auto, objective=replace(ObjectiveSettings(), shared_real_batch=True))
    assert not decides_together(shared)
    forced = replace(history, hardware=recipe.hardware)
    with pytest.raises(UserError, match=r"hardware\.members: expected auto or apart with terms"):
        decides_together(forced)
    with pytest.raises(
        UserError, match=r"hardware\.members: expected auto or apart for networks other"
    ):
        decides_together(replace(recipe, networks=MLPSettings(hidden=(9,), minibatch_kernels=3)))
