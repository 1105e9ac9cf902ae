"""The training loop."""

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convergan.data.batches import DeviceImages, EpochOrder, epoch_order, to_network
from convergan.data.training_data import TrainingData
from convergan.distributed import rank, ranks, sum_over_ranks
from convergan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from convergan.networks.noise import NoiseBank, use_bank
from convergan.networks.precision import without_tf32
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.checkpointing import Checkpointer, LoopOptions
from convergan.training.classify import predicted_classes
from convergan.training.computation import (
    begin_step,
    discriminator_dtype,
    memory_layout,
    resolved_precision,
    uses_noise_bank,
)
from convergan.training.health import LossWatch, NotFinite
from convergan.training.launch import on_every_rank
from convergan.training.objective import (
    BaselineStep,
    DiscriminatorStep,
    GeneratorStep,
    baseline_terms,
    discriminator_terms,
    generator_terms,
    parts_of,
    total,
)
from convergan.training.observer import EpochRecord, Observer
from convergan.training.randomness import derived_seed
from convergan.training.samples import diversity
from convergan.training.state import TrainingState

STEPS_OF_NOISE = 500
"""Steps between two fillings of the bank of noise."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a training came to: the averaged weights of the last epoch, or of the best by validation."""

    discriminator: Discriminator
    baseline: Discriminator | None
    generator: Generator
    epoch: int
    """The epoch that the discriminator is of."""
    train_seconds: float


@without_tf32()
def fit(
    device: torch.device,
    recipe: Recipe,
    data: TrainingData,
    *,
    checkpoints: Path | None,
    observer: Observer,
    options: LoopOptions,
) -> Fitted:
    """Trains the players of a recipe; goes on from the newest checkpoint in `checkpoints`, if any.

    Without a folder for checkpoints none are written, and a training that diverges ends.

    Raises:
        Interrupted: `options.stop_requested`; a checkpoint has been written.
        UserError: a loss or a weight is not finite, and rolling back, if asked for, did not help.
    """
    # 1. Images on the device; players, their optimizers and averages.
    images = DeviceImages(data.images, device, resident_bytes=recipe.data.resident_bytes)
    state = TrainingState(device, recipe, data, images)
    discriminator, generator, baseline = state.discriminator, state.generator, state.baseline
    discriminator_objective = discriminator_terms(recipe.objective, discriminator.history)
    generator_objective = generator_terms(recipe.objective, generator.history)
    baseline_objective = baseline_terms(recipe.objective, baseline.history if baseline else None)
    steps = steps_per_epoch(recipe, data)
    rank_batch = recipe.batch_size // ranks()
    supervised = recipe.objective.discriminator == "semi-supervised"
    matches_features = recipe.objective.generator == "feature-matching"
    compares_halves = discriminator.network.compares_halves
    noise = NoiseBank(device) if uses_noise_bank(recipe.hardware, device) else None
    for player in (discriminator, generator, baseline):
        if player is not None:
            use_bank(player.network, noise)
    noise_of_steps = -1

    reduced = discriminator_dtype(resolved_precision(recipe.hardware, device))
    layout = memory_layout(device)

    def batch_of(indices: np.ndarray) -> Tensor:
        batch = to_network(images.gather(indices), discriminator.network.pixel_range)
        return batch.contiguous(memory_format=layout)

    def discriminator_autocast() -> torch.autocast:
        return torch.autocast(device.type, reduced, enabled=reduced != torch.float32)

    # 2. Where an earlier process left off. There is always a checkpoint to go back to.
    checkpointer = Checkpointer(device, checkpoints, options)
    if not checkpointer.restore(state):
        checkpointer.save(state)
    on_every_rank(lambda: observer.begins_after(state.epochs_done, checkpointer.warning))
    watch: LossWatch | None = None
    names: list[str] = []
    resumed_seconds, resumed_time = state.train_seconds, time.monotonic()
    epoch_time = time.monotonic()
    epoch_first_position = state.position

    while state.epochs_done < recipe.epochs:
        # 3. The order of this epoch's images: a function of seed and epoch alone, so that a run
        #    that is resumed in the middle draws the same.
        def order_of(stream: str, indices: np.ndarray, count: int) -> EpochOrder:
            order = epoch_order(
                indices,
                steps=count,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                epoch=state.epochs_done,
                stream=stream,
            )
            first = rank() * rank_batch
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
            if noise is not None and noise_of_steps != state.step // STEPS_OF_NOISE:
                noise_of_steps = state.step // STEPS_OF_NOISE
                noise.fill(derived_seed(recipe.seed, 4, rank(), noise_of_steps))
            begin_step(recipe.hardware, device)
            with state.stream():
                # 4. The discriminator's step: all its batches in one forward pass.
                discriminator.network.train()
                generator.network.train()
                with torch.no_grad():
                    latent = generator.network.latent(rank_batch, device)
                    generated = generator.local(latent)
                batches = [batch_of(unlabelled_order[state.position]), generated]
                labels = None
                if labelled_order is not None:
                    indices = labelled_order[state.position]
                    batches.insert(0, batch_of(indices))
                    of_batch = data.labels[np.searchsorted(data.labelled, indices)]
                    labels = torch.from_numpy(of_batch).to(device, non_blocking=True)
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
                discriminator.step(total(parts), rate)
                losses.update({f"discriminator/{name}": part for name, part in parts.items()})

                # 5. The generator's steps, through the discriminator as it now is. Without its own
                #    gradients that is a third cheaper; unwrapped, they are not averaged over the ranks.
                for weight in discriminator.trained:
                    weight.requires_grad_(False)
                parts_of_turns: list[dict[str, Tensor]] = []
                for turn in range(generator_steps):
                    matched_features = None
                    indices = matched_order[state.position * generator_steps + turn]
                    if matches_features and not compares_halves:
                        with torch.no_grad():
                            matched_features = discriminator.local(batch_of(indices)).features
                    generated = generator.wrapped(generator.network.latent(rank_batch, device))
                    if compares_halves:
                        # Real ones beside the generated, as in the discriminator's step.
                        joint = torch.cat([batch_of(indices), generated])
                        output = discriminator.local(joint, [rank_batch, rank_batch])
                        matched_features = output.features[:rank_batch].detach()
                        judged = DiscriminatorOutput(*(part[rank_batch:] for part in output))
                    else:
                        judged = discriminator.local(generated)
                    parts = parts_of(
                        generator_objective,
                        GeneratorStep(matched_features, judged.features, judged.logits),
                    )
                    generator.step(total(parts), rate)
                    parts_of_turns.append(parts)
                for name in parts_of_turns[0]:
                    of_turns = torch.stack([parts[name] for parts in parts_of_turns])
                    losses[f"generator/{name}"] = of_turns.mean()
                for weight in discriminator.trained:
                    weight.requires_grad_(True)

            # 6. The baseline's step: the same discriminator, the labelled images alone.
            if baseline is not None and labels is not None:
                with state.baseline_stream():
                    baseline.network.train()
                    with discriminator_autocast():
                        output = baseline.wrapped(batches[0], [rank_batch])
                    parts = parts_of(
                        baseline_objective, BaselineStep(output.logits.float(), labels)
                    )
                    baseline.step(total(parts), rate)
                    losses.update({f"baseline/{name}": part for name, part in parts.items()})

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
            if state.position < steps and checkpointer.is_due(state.step):
                not_finite = watch.look() or state.find_not_finite()
                if not_finite:
                    break
                checkpointer.save(state)
                checkpointer.stop_if_requested()

        # 9. Divergence: stop, or go back to the last good checkpoint and go on more slowly.
        not_finite = not_finite or (watch and watch.look()) or state.find_not_finite()
        if not_finite:
            warning = checkpointer.go_back(state, not_finite)
            on_every_rank(partial(observer.begins_after, state.epochs_done, warning))
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
                    predicted = predicted_classes(player.tested, images, data.validation)
                    counts.append(int((predicted != data.validation_labels).sum()))
                    best.offer(state.epochs_done + 1, counts[-1], player.tested)
            validation_errors = counts[0]
        state.epochs_done += 1
        warnings = [
            *state.warnings,
            *state.health.epoch(state.epochs_done, spread, means[-2], means[-1]),
        ]
        state.warnings = []
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
        tell = partial(
            observer.epoch_ended,
            record,
            discriminator.network,
            discriminator.tested,
            None if baseline is None else baseline.tested,
            generator.network,
        )
        on_every_rank(tell)
        epoch_first_position, epoch_time = 0, time.monotonic()
        last = state.epochs_done == recipe.epochs
        if last or checkpointer.is_due(state.step):
            checkpointer.save(state)
            if not last:
                checkpointer.stop_if_requested()

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


def steps_per_epoch(recipe: Recipe, data: TrainingData) -> int:
    """Number of batches in an epoch of this training."""
    return max(math.ceil(len(data.unlabelled) / recipe.batch_size), recipe.min_steps_per_epoch)


def learning_rate(settings: OptimizerSettings, progress: float, halvings: int) -> float:
    """The learning rate after a share `progress` of the run, in [0, 1)."""
    rate = settings.learning_rate * 0.5**halvings
    if progress < settings.decay_from:
        return rate
    return rate * (1 - progress) / (1 - settings.decay_from)
