"""The term of consistency: what it looks at, what it remembers, and that it trains."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from convergan.data.digits import open_digits
from convergan.data.splits import draw_split
from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.files import recipe_sha256
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import (
    ConditionalEntropySettings,
    ConsistencySettings,
    FeatureMatchingSettings,
    PullAwaySettings,
    SupervisedSettings,
)
from convergan.runs.epochs import EpochRecord
from convergan.techniques.conditional_entropy import conditional_entropy
from convergan.techniques.consistency import (
    AdaptiveThreshold,
    DistributionAlignment,
    consistency_loss,
)
from convergan.techniques.pull_away import pull_away_loss
from convergan.training.loop import fit
from convergan.training.objective import losses_of
from convergan.training.observer import Silent
from convergan.training.terms.consistency import Consistency
from convergan.training.terms.term import TermContext, TermOutputs

CONTEXT = TermContext(labels_of_class=(5, 3, 2), device=torch.device("cpu"))


def outputs(progress: float = 0.0) -> TermOutputs:
    """TermOutputs for 30 unlabelled images in two views, as many generated ones, and a teacher."""

    def output() -> DiscriminatorOutput:
        return DiscriminatorOutput(
            (3 * torch.randn(30, 3)).requires_grad_(), torch.randn(30, 8).requires_grad_()
        )

    groups = {name: output() for name in ("labelled", "unlabelled", "strong", "generated")}
    labels = torch.arange(30) % 3
    return TermOutputs(groups=groups, labels=labels, teacher=output(), progress=progress)


def value_of(step: TermOutputs, player: str = "discriminator", **terms: Any) -> dict[str, Tensor]:
    loss = losses_of(replace(ObjectiveSettings(), **terms))[player]
    loss.begin(CONTEXT)
    return loss(step)


def test_targets_are_the_weak_views_or_the_teachers() -> None:
    step = outputs()
    assert step.teacher is not None
    for targets, weak in (("weak", step["unlabelled"].logits), ("teacher", step.teacher.logits)):
        settings = ConsistencySettings(weight=2.0, targets=targets, threshold=0.8)  # type: ignore[arg-type]
        value = value_of(step, consistency=settings)["consistency"]
        expected = consistency_loss(step["strong"].logits, weak, threshold=0.8)
        torch.testing.assert_close(value, 2 * expected)
        # The strong view alone is differentiated.
        for logits in (weak, *(step[name].logits for name in ("unlabelled", "labelled"))):
            assert torch.autograd.grad(value, logits, retain_graph=True, allow_unused=True) == (
                None,
            )


def test_a_target_is_not_computed_where_it_is_not_asked_for() -> None:
    alone = SupervisedSettings(weight=1.0)
    for targets, need in (("weak", "unlabelled"), ("teacher", "teacher")):
        settings = ConsistencySettings(weight=1.0, targets=targets)  # type: ignore[arg-type]
        assert Consistency(settings).needs == {"strong", need}
        objective = ObjectiveSettings(supervised=alone, consistency=settings)
        objective = replace(
            objective, real_or_generated=replace(objective.real_or_generated, weight=0.0)
        )
        loss = losses_of(objective)["discriminator"]
        assert loss.needs == {"labelled", "strong", need}
        assert loss.needs_gradient_of == {"labelled", "strong"}
    assert losses_of(ObjectiveSettings())["discriminator"].needs_gradient_of == {
        "labelled", "unlabelled", "generated",
    }  # fmt: skip


def test_a_weight_rises_over_its_ramp() -> None:
    for progress, share in ((0.0, 0.0), (0.05, 0.25), (0.2, 1.0), (0.9, 1.0)):
        step = outputs(progress)
        value = value_of(
            step,
            consistency=ConsistencySettings(weight=3.0, ramp=0.2, threshold=0.5),
            conditional_entropy=ConditionalEntropySettings(weight=0.4, ramp=0.2),
        )
        expected = consistency_loss(step["strong"].logits, step["unlabelled"].logits, threshold=0.5)
        torch.testing.assert_close(value["consistency"], 3 * share * expected)
        entropy = conditional_entropy(step["unlabelled"].logits)
        torch.testing.assert_close(value["conditional_entropy"], 0.4 * share * entropy)


def test_alignment_and_threshold_follow_the_steps() -> None:
    settings = ConsistencySettings(
        weight=1.0,
        threshold=0.7,
        adaptive_threshold=True,
        distribution_alignment=True,
        momentum=0.8,
    )
    loss = losses_of(ObjectiveSettings(consistency=settings))["discriminator"]
    (state,) = loss.begin(CONTEXT).values()
    alignment = DistributionAlignment(torch.tensor([5, 3, 2]), momentum=0.8)
    threshold = AdaptiveThreshold(3, momentum=0.8, highest=0.7)
    for _ in range(6):
        step = outputs()
        weak = step["unlabelled"].logits.detach()
        alignment.update(weak)
        threshold.update(alignment(weak))
        expected = consistency_loss(step["strong"].logits, alignment(weak), threshold=threshold())
        torch.testing.assert_close(loss(step)["consistency"], expected, rtol=0, atol=0)
    for name, module in (("alignment", alignment), ("threshold", threshold)):
        for key, value in module.state_dict().items():
            assert torch.equal(state.state_dict()[f"{name}.{key}"], value)


def test_pull_away_is_of_the_generated_features() -> None:
    step = outputs()
    parts = value_of(step, "generator", pull_away=PullAwaySettings(weight=0.5))
    expected = pull_away_loss(step["generated"].features)
    torch.testing.assert_close(parts["pull_away"], 0.5 * expected)
    assert list(parts) == ["feature_matching", "pull_away"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (
            {
                "supervised": SupervisedSettings(weight=0),
                "consistency": ConsistencySettings(weight=2),
            },
            r"objective\.consistency\.weight: expected 0 where no classes are learnt .* got 2",
        ),
        (
            {
                "supervised": SupervisedSettings(weight=0),
                "conditional_entropy": ConditionalEntropySettings(weight=0.1),
            },
            r"objective\.conditional-entropy\.weight: expected 0 where no classes are learnt",
        ),
        (
            {
                "feature_matching": FeatureMatchingSettings(weight=0),
                "pull_away": PullAwaySettings(weight=1),
            },
            "a weight above 0 of a term of the generator, feature-matching, minimax, non-saturating, t",
        ),
    ],
)
def test_what_does_not_fit_is_refused(terms: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        losses_of(replace(ObjectiveSettings(), **terms))


def test_settings_have_ranges() -> None:
    with pytest.raises(
        UserError, match=r"objective\.consistency\.threshold: expected 0 to 1, got 2"
    ):
        ConsistencySettings(threshold=2)
    with pytest.raises(
        UserError, match=r"objective\.consistency\.threshold: expected more than 0 "
    ):
        ConsistencySettings(threshold=0, adaptive_threshold=True)
    with pytest.raises(UserError, match=r"objective\.conditional-entropy\.ramp: expected 0 to 1"):
        ConditionalEntropySettings(ramp=-0.1)


def test_recipes_without_them_are_known_by_the_same_hash(quick_recipe: Recipe) -> None:
    objective = quick_recipe.objective
    inactive = objective.with_term(ConsistencySettings()).with_term(PullAwaySettings())
    assert recipe_sha256(replace(quick_recipe, objective=inactive)) == recipe_sha256(quick_recipe)
    active = objective.with_term(ConsistencySettings(weight=1.0))
    assert recipe_sha256(replace(quick_recipe, objective=active)) != recipe_sha256(quick_recipe)


class Recording(Silent):
    """Keeps the losses of each epoch."""

    def __init__(self) -> None:
        self.losses: list[Mapping[str, float]] = []

    def epoch_ended(self, record: EpochRecord, *_: object) -> None:
        self.losses.append(record.losses)


def test_digits_train_with_all_three(quick_recipe: Recipe) -> None:
    objective = (
        quick_recipe.objective.with_term(
            ConsistencySettings(weight=1.0, targets="teacher", adaptive_threshold=True, ramp=0.2)
        )
        .with_term(ConditionalEntropySettings(weight=0.1))
        .with_term(PullAwaySettings(weight=0.1))
    )
    split = draw_split(open_digits(), labels=100, seed=0, validation_share=0.0, test_share=0.2)
    recording = Recording()
    recipe = replace(quick_recipe, baseline=False, objective=objective)
    fit(torch.device("cpu"), recipe, split.training, observer=recording)
    for name in (
        "discriminator/consistency", "discriminator/conditional_entropy", "generator/pull_away",
    ):  # fmt: skip
        assert all(losses[name] > 0 for losses in recording.losses)
    # The network learns to be sure of its classes.
    entropies = [losses["discriminator/conditional_entropy"] for losses in recording.losses]
    assert entropies[-1] < entropies[0]
