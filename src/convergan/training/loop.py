"""The training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from convergan.data.batches import DeviceImages, epoch_order, to_network
from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.runs.checkpoints import load_newest_checkpoint, save_checkpoint
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.classify import classify
from convergan.training.collectives import any_rank, ranks, sum_over_ranks
from convergan.training.health import HealthWarning, LossWatch, NotFinite
from convergan.training.objective import (
    DiscriminatorStep,
    GeneratorStep,
    discriminator_terms,
    generator_terms,
    parts_of,
    total,
)
from convergan.training.observer import EpochRecord, Observer
from convergan.training.samples import diversity
from convergan.training.state import TrainingState

MOST_ROLLBACKS = 3


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How a run is kept, as opposed to what it computes."""

    checkpoint_every_seconds: float = 30.0
    """Time between checkpoints; each costs a write of a few times the networks' size. 0: every step."""

    roll_back: bool = False
    """On a loss that is not finite: go back to the last checkpoint at half the learning rate."""

    stop_requested: Callable[[], bool] = lambda: False
    """Asked between steps; when true, a checkpoint is written and `Interrupted` raised."""


class Interrupted(Exception):
    """The run was asked to stop and can be resumed."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a training came to: the averaged weights of the last epoch, or of the best by validation."""

    discriminator: Discriminator
    baseline: Discriminator | None
    generator: Generator
    epoch: int
    """The epoch that the discriminator is of."""
    train_seconds: float


def fit(
    fabric: Fabric,
    recipe: Recipe,
    data: TrainingData,
    *,
    checkpoints: Path,
    observer: Observer,
    options: LoopOptions,
) -> Fitted:
    """Trains the players of a recipe; goes on from the newest checkpoint in `checkpoints`, if any.

    Raises:
        Interrupted: `options.stop_requested`; a checkpoint has been written.
        UserError: a loss is not finite (and rolling back, if asked for, did not help), or the batch
            cannot be divided among the ranks.
    """
    if recipe.batch_size % ranks():
        raise UserError(
            f"batch-size: expected a multiple of the {ranks()} processes, got {recipe.batch_size}"
        )
    # 1. Images on the device; players, their optimizers and averages.
    images = DeviceImages(data.images, fabric.device, resident_bytes=recipe.data.resident_bytes)
    label_of = torch.full((len(data.images),), -1, dtype=torch.int64)
    label_of[torch.from_numpy(data.labelled)] = torch.from_numpy(data.labels)
    state = TrainingState(fabric, recipe, data, images)
    discriminator, generator, baseline = state.discriminator, state.generator, state.baseline
    discriminator_objective = discriminator_terms(recipe.objective, discriminator.history)
    generator_objective = generator_terms(recipe.objective, generator.history)
    steps = max(math.ceil(len(data.unlabelled) / recipe.batch_size), recipe.min_steps_per_epoch)
    device, rank_batch = fabric.device, recipe.batch_size // ranks()
    supervised = recipe.objective.discriminator == "semi-supervised"
    matches_features = recipe.objective.generator == "feature-matching"
    compares_halves = discriminator.network.compares_halves

    def batch_of(indices: np.ndarray) -> Tensor:
        return to_network(images.gather(indices), discriminator.network.pixel_range)

    def discriminator_autocast() -> torch.autocast:
        reduced = recipe.hardware.precision == "bf16-mixed"
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced)

    # 2. Where an earlier process left off. There is always a checkpoint to go back to.
    restored = load_newest_checkpoint(checkpoints)
    if restored is not None:
        state.load_state_dict(restored[1])
    else:
        _checkpoint(fabric, checkpoints, state)
    observer.begins_after(state.epochs_done, None)
    watch: LossWatch | None = None
    names: list[str] = []
    checkpoint_time = time.monotonic()
    resumed_seconds, resumed_time = state.train_seconds, time.monotonic()
    epoch_time = time.monotonic()
    epoch_first_position = state.position

    while state.epochs_done < recipe.epochs:
        # 3. The order of this epoch's images: a function of seed and epoch alone, so that a run
        #    that is resumed in the middle draws the same.
        def order_of(stream: str, indices: np.ndarray, count: int) -> np.ndarray:
            order = epoch_order(
                indices,
                steps=count,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                epoch=state.epochs_done,
                stream=stream,
            )
            first = fabric.global_rank * rank_batch
            return order[:, first : first + rank_batch]

        unlabelled_order = order_of("unlabelled", data.unlabelled, steps)
        generator_steps = recipe.objective.generator_steps
        matched_order = order_of("matched", data.unlabelled, steps * generator_steps)
        labelled_order = order_of("labelled", data.labelled, steps) if supervised else None

        not_finite: NotFinite | None = None
        while state.position < steps:
            progress = state.step / (steps * recipe.epochs)
            rate = learning_rate(recipe.optimizer, progress, state.rollbacks)
            losses: dict[str, Tensor] = {}
            with state.stream():
                # 4. The discriminator's step: all its batches in one forward pass.
                discriminator.network.train()
                generator.network.train()
                with torch.no_grad():
                    latent = generator.network.latent(rank_batch, device)
                    generated = generator.network(latent)
                batches = [batch_of(unlabelled_order[state.position]), generated]
                labels = None
                if labelled_order is not None:
                    indices = labelled_order[state.position]
                    batches.insert(0, batch_of(indices))
                    labels = label_of[torch.from_numpy(indices)].to(device, non_blocking=True)
                sizes = [rank_batch] * len(batches)
                with discriminator_autocast():
                    output = discriminator.wrapped(torch.cat(batches), sizes)
                logits = output.logits.float().split(sizes)
                parts = parts_of(
                    discriminator_objective,
                    DiscriminatorStep(
                        labelled_logits=logits[0] if labelled_order is not None else None,
                        labels=labels,
                        unlabelled_logits=logits[-2],
                        generated_logits=logits[-1],
                    ),
                )
                discriminator.step(fabric, total(parts), rate)
                losses.update({f"discriminator/{name}": part for name, part in parts.items()})

                # 5. The generator's steps, through the discriminator as it now is. Without its own
                #    gradients that is a third cheaper; unwrapped, Fabric does not synchronize them.
                for weight in discriminator.trained:
                    weight.requires_grad_(False)
                for turn in range(generator_steps):
                    matched_features = None
                    indices = matched_order[state.position * generator_steps + turn]
                    if matches_features and not compares_halves:
                        with torch.no_grad():
                            matched_features = discriminator.network(batch_of(indices)).features
                    generated = generator.wrapped(generator.network.latent(rank_batch, device))
                    if compares_halves:
                        # Real ones beside the generated, as in the discriminator's step.
                        joint = torch.cat([batch_of(indices), generated])
                        output = discriminator.network(joint, [rank_batch, rank_batch])
                        matched_features = output.features[:rank_batch].detach()
                        judged = DiscriminatorOutput(*(part[rank_batch:] for part in output))
                    else:
                        judged = discriminator.network(generated)
                    parts = parts_of(
                        generator_objective,
                        GeneratorStep(matched_features, judged.features, judged.logits),
                    )
                    generator.step(fabric, total(parts), rate)
                losses.update({f"generator/{name}": part for name, part in parts.items()})
                for weight in discriminator.trained:
                    weight.requires_grad_(True)

            # 6. The baseline's step: the same discriminator, the labelled images alone.
            if baseline is not None and labels is not None:
                with state.baseline_stream():
                    baseline.network.train()
                    with discriminator_autocast():
                        output = baseline.wrapped(batches[0], [rank_batch])
                    loss = F.cross_entropy(output.logits.float(), labels)
                    baseline.step(fabric, loss, rate)
                    losses["baseline/supervised"] = loss

            # 7. Losses and scores are kept on the device, and looked at now and then.
            with torch.no_grad():
                scores = [
                    torch.sigmoid(real_probability_logit(part)).mean() for part in logits[-2:]
                ]
                numbers = torch.stack([*losses.values(), *scores]).detach().float()
                numbers = sum_over_ranks(numbers) / ranks()
            state.epoch_sums = numbers if state.epoch_sums is None else state.epoch_sums + numbers
            if watch is None:
                names = list(losses)
                watch = LossWatch(names, 1 if device.type == "cpu" else 50, device)
            not_finite = watch.add(state.step, numbers[: len(names)])
            if not_finite:
                break
            state.step += 1
            state.position += 1
            state.train_seconds = resumed_seconds + time.monotonic() - resumed_time
            observer.steps_done(state.step, steps * recipe.epochs)

            # 8. A checkpoint between two steps of an epoch.
            if state.position < steps and _is_due(fabric, options, checkpoint_time, state.step):
                not_finite = watch.look()
                if not_finite:
                    break
                _checkpoint(fabric, checkpoints, state)
                checkpoint_time = time.monotonic()
                if any_rank(options.stop_requested(), device):
                    raise Interrupted

        # 9. Divergence: stop, or go back to the last good checkpoint and go on more slowly.
        not_finite = not_finite or (watch.look() if watch else None)
        if not_finite:
            warning = _roll_back(state, not_finite, checkpoints, options)
            observer.begins_after(state.epochs_done, warning)
            _checkpoint(fabric, checkpoints, state)
            epoch_first_position, epoch_time = state.position, time.monotonic()
            continue

        # 10. The end of the epoch: how it went, and whether it is the best by validation.
        sums = state.epoch_sums
        means = (sums / steps).tolist() if sums is not None else []
        spread = diversity(generator.network, images, data.unlabelled, recipe.seed)
        validation_errors = None
        if len(data.validation):
            counts = []
            for best, player in ((state.best, discriminator), (state.best_baseline, baseline)):
                if player is not None:
                    logits_of_all = classify(player.tested, images, data.validation)
                    predicted = logits_of_all.argmax(dim=1).cpu().numpy()
                    counts.append(int((predicted != data.validation_labels).sum()))
                    best.offer(state.epochs_done + 1, counts[-1], player.tested)
            validation_errors = counts[0]
        state.epochs_done += 1
        warnings = state.health.epoch(state.epochs_done, spread, means[-2], means[-1])
        state.position, state.epoch_sums = 0, None
        state.train_seconds = resumed_seconds + time.monotonic() - resumed_time
        share_seen = (steps - epoch_first_position) / steps
        record = EpochRecord(
            epoch=state.epochs_done,
            step=state.step,
            train_seconds=state.train_seconds,
            seconds_per_epoch=(time.monotonic() - epoch_time) / max(share_seen, 1 / steps),
            learning_rate=rate,
            losses=dict(zip(names, means, strict=False)),
            real_score=means[-2],
            generated_score=means[-1],
            diversity=spread,
            validation_errors=validation_errors,
            validation_size=len(data.validation),
            warnings=warnings,
        )
        observer.epoch_ended(
            record,
            discriminator.network,
            discriminator.tested,
            None if baseline is None else baseline.tested,
            generator.network,
        )
        epoch_first_position, epoch_time = 0, time.monotonic()
        last = state.epochs_done == recipe.epochs
        if last or _is_due(fabric, options, checkpoint_time, state.step):
            _checkpoint(fabric, checkpoints, state)
            checkpoint_time = time.monotonic()
            if not last and any_rank(options.stop_requested(), device):
                raise Interrupted

    # 11. The weights that stand for the run.
    chosen = state.epochs_done
    for best, player in ((state.best, discriminator), (state.best_baseline, baseline)):
        if player is not None and best.weights is not None:
            player.tested.load_state_dict(best.weights)
    if state.best.weights is not None:
        chosen = state.best.epoch
    return Fitted(
        discriminator=discriminator.tested.eval(),
        baseline=None if baseline is None else baseline.tested.eval(),
        generator=generator.network.eval(),
        epoch=chosen,
        train_seconds=state.train_seconds,
    )


def learning_rate(settings: OptimizerSettings, progress: float, halvings: int) -> float:
    """The learning rate after a share `progress` of the run, in [0, 1)."""
    rate = settings.learning_rate * 0.5**halvings
    if progress < settings.decay_from:
        return rate
    return rate * (1 - progress) / (1 - settings.decay_from)


def _is_due(fabric: Fabric, options: LoopOptions, last_time: float, step: int) -> bool:
    """Whether to write a checkpoint now; several ranks agree on it, every 20 steps."""
    if ranks() > 1 and step % 20:
        return False
    elapsed = time.monotonic() - last_time
    due = elapsed >= options.checkpoint_every_seconds or options.stop_requested()
    return any_rank(due, fabric.device)


def _checkpoint(fabric: Fabric, checkpoints: Path, state: TrainingState) -> None:
    # Every rank takes part: the state holds all their random streams.
    values = state.state_dict()
    if fabric.is_global_zero:
        save_checkpoint(checkpoints, state.step, values)
    fabric.barrier()


def _roll_back(
    state: TrainingState, not_finite: NotFinite, checkpoints: Path, options: LoopOptions
) -> HealthWarning:
    """Puts the state back to the last checkpoint and halves the learning rate, or gives up."""
    what = f"{not_finite.term} is {not_finite.value} at step {not_finite.step}"
    restored = load_newest_checkpoint(checkpoints)
    last_good = restored[0] if restored else "none"
    if restored is None or not options.roll_back:
        raise UserError(
            f"training diverged: {what}; the last good checkpoint is {last_good}; "
            "--on-divergence rollback goes on from it at half the learning rate"
        )
    rollbacks = state.rollbacks + 1
    if rollbacks > MOST_ROLLBACKS:
        raise UserError(
            f"training diverged: {what}, after {MOST_ROLLBACKS} times going back and halving the "
            f"learning rate; the last good checkpoint is {last_good}"
        )
    state.load_state_dict(restored[1])
    state.rollbacks = rollbacks
    return HealthWarning(
        state.epochs_done + 1,
        "rollback",
        f"training diverged: {what}; went back to step {state.step}",
        f"the learning rate is now multiplied by {0.5**rollbacks:g}; start with a lower "
        "--optimizer.learning-rate",
    )
