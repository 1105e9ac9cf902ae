"""A term of one's own: one file, one registration, and neither loop nor state nor settings know of it."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from convergan.errors import UserError
from convergan.recipes import objective
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.files import read_recipe
from convergan.recipes.settings import Recipe
from convergan.runs.metrics import read_metrics
from convergan.training.run import RunOptions, train
from convergan.training.terms import registry
from convergan.training.terms.term import NEEDS
from support import equal_states

ENTROPY = '''
"""Conditional entropy: the discriminator shall be sure of the class of unlabelled images."""

from dataclasses import dataclass, field

from convergan.recipes.terms import TermSettings
from convergan.training.terms.registry import register_term
from convergan.training.terms.term import Term


@dataclass(frozen=True, kw_only=True)
class EntropySettings(TermSettings):
    temperature: float = 1.0


@register_term
class Entropy(Term):
    name = "entropy"
    settings_class = EntropySettings
    players = frozenset({"discriminator"})
    needs = frozenset({"unlabelled"})

    def __call__(self, outputs):
        logs = (outputs["unlabelled"].logits / self.settings.temperature).log_softmax(dim=1)
        return -(logs.exp() * logs).sum(dim=1).mean()
'''

AGREEMENT_AND_SPREAD = '''
"""A term of each player that looks at all that there is to see."""

from dataclasses import dataclass

from torch.nn import functional as F

from convergan.recipes.terms import TermSettings
from convergan.training.terms.registry import register_term
from convergan.training.terms.term import Term

seen = []


@dataclass(frozen=True, kw_only=True)
class AgreementSettings(TermSettings):
    threshold: float = 0.2


@register_term
class Agreement(Term):
    name = "agreement"
    settings_class = AgreementSettings
    players = frozenset({"discriminator"})
    needs = frozenset({"labelled", "unlabelled", "strong", "generated", "teacher", "history"})

    def __call__(self, outputs):
        seen.append(outputs)
        confidence, classes = outputs.teacher.logits.softmax(dim=1).max(dim=1)
        losses = F.cross_entropy(outputs["strong"].logits, classes, reduction="none")
        return {
            "strong": (losses * (confidence > self.settings.threshold)).mean(),
            "labelled": F.cross_entropy(outputs["labelled"].logits, outputs.labels),
            "past": outputs.history.penalty(),
        }


@dataclass(frozen=True, kw_only=True)
class SpreadSettings(TermSettings):
    pass


@register_term
class Spread(Term):
    name = "spread"
    settings_class = SpreadSettings
    players = frozenset({"generator"})
    needs = frozenset({"generated"})

    def __call__(self, outputs):
        directions = F.normalize(outputs["generated"].features, dim=1)
        return (directions @ directions.T).square().mean()
'''


pytestmark = pytest.mark.usefixtures("registered_terms_are_forgotten")


@pytest.fixture
def load(tmp_path: Path) -> Iterator[object]:
    """Write a module and imports it."""
    names = set()

    def loaded(name: str, text: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.add(name)
        spec.loader.exec_module(module)
        return module

    yield loaded
    for name in names:
        del sys.modules[name]


def classifier_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "classifier.safetensors")


def test_a_term_in_a_file_of_its_own_trains_digits(
    load, quick_recipe: Recipe, trained_run: Path, quiet: Console, tmp_path: Path
) -> None:
    module = load("my_entropy", ENTROPY)
    out = tmp_path / "run"

    def recipe(weight: float) -> Recipe:
        settings = module.EntropySettings(weight=weight, temperature=2.0)
        return replace(quick_recipe, objective=quick_recipe.objective.with_term(settings))

    train(recipe(0.3), out, console=quiet)
    lines = read_metrics(out / "metrics.jsonl")
    assert [line.losses["discriminator/entropy"] > 0 for line in lines] == [True] * len(lines)
    assert not equal_states([classifier_of(out)], [classifier_of(trained_run)])
    # It is a setting like any other: written, read, asked for again on resume.
    assert read_recipe(out / "recipe.yaml").objective.terms()["entropy"].weight == 0.3
    with pytest.raises(UserError, match=r"objective\.entropy\.weight"):
        train(recipe(0.4), out, console=quiet, options=RunOptions(resume=True))
    # Switched off it changes nothing.
    train(recipe(0.0), tmp_path / "off", console=quiet)
    assert equal_states([classifier_of(tmp_path / "off")], [classifier_of(trained_run)])
    # To somebody without the file the recipe says what is missing.
    objective.TERM_SETTINGS.clear()
    with pytest.raises(UserError, match="entropy"):
        read_recipe(out / "recipe.yaml")


def test_a_term_sees_all_that_it_needs_and_resumes_exactly(
    load, quick_recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("my_terms", AGREEMENT_AND_SPREAD)
    changed = quick_recipe.objective.with_term(module.AgreementSettings(weight=0.5)).with_term(
        module.SpreadSettings(weight=0.1)
    )
    plain = replace(quick_recipe, objective=changed, epochs=1)
    with pytest.raises(
        UserError,
        match=r"^objective\.agreement\.weight: .* augmentation\.kind is none, .* got 0\.5$",
    ):
        train(plain, tmp_path / "plain", console=quiet)
    assert not (tmp_path / "plain").exists()
    recipe = replace(plain, augmentation=AugmentationSettings(kind="digits"))
    train(recipe, tmp_path / "straight", console=quiet)
    (line,) = read_metrics(tmp_path / "straight" / "metrics.jsonl")
    assert {
        "discriminator/strong", "discriminator/labelled", "discriminator/past", "generator/spread",
    } <= line.losses.keys()  # fmt: skip
    outputs = module.seen[-1]
    assert list(outputs.groups) == ["labelled", "unlabelled", "strong", "generated"]
    assert {len(output.logits) for output in outputs.groups.values()} == {recipe.batch_size}
    assert not outputs.teacher.logits.requires_grad and outputs["strong"].logits.requires_grad
    with pytest.raises(LookupError, match="expected one of labelled, unlabelled, strong"):
        outputs["test"]

    # Stopped in the middle of the epoch, by a term that fails once.
    calls, original = 0, module.Agreement.__call__

    def failing(self, outputs):
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return original(self, outputs)

    monkeypatch.setattr(module.Agreement, "__call__", failing)
    options = RunOptions(resume=True, checkpoint_every_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", console=quiet, options=options)
    train(recipe, tmp_path / "stopped", console=quiet, options=options)
    assert equal_states(
        [classifier_of(tmp_path / "stopped")], [classifier_of(tmp_path / "straight")]
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "entropy"', 'name = "minimax"', "minimax: expected a name that no other term has"),
        (
            '{"discriminator"}',
            '{"critic"}',
            r"entropy\.players: expected a set of one or more of base",
        ),
        (
            'frozenset({"discriminator"})',
            '("discriminator",)',
            r"entropy\.players: expected a set .*\(",
        ),
        (
            '{"unlabelled"}',
            '{"labels"}',
            r"entropy\.needs: expected a set of one or more of generated",
        ),
        (
            '{"discriminator"}',
            '{"baseline"}',
            r"entropy\.needs: expected some of history, labelled in ",
        ),
        ('    name = "entropy"', "", "term: expected a subclass of Term with a name, got"),
        ("    settings_class = EntropySettings\n", "", "settings: expected a frozen dataclass"),
        (
            "temperature: float = 1.0",
            "temperature: float",
            "settings: expected fields with defaults",
        ),
        (
            "temperature: float = 1.0",
            "sizes: list = field(default_factory=list)",
            "settings: expected fields with defaults that can be hashed, such as tuples in place of lists",
        ),
    ],
)
def test_what_cannot_be_registered(load, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load("my_wrong_term", ENTROPY.replace(old, new))
    assert "entropy" not in registry.TERMS and "entropy" not in objective.TERM_SETTINGS


def test_a_cell_of_a_notebook_can_run_again(load, quick_recipe: Recipe) -> None:
    load("my_entropy", ENTROPY)
    reloaded = load("my_entropy", ENTROPY.replace("return -(", "return -2 * ("))
    assert registry.TERMS["entropy"] is reloaded.Entropy
    recipe = quick_recipe.objective.with_term(reloaded.EntropySettings(weight=1))
    assert type(recipe.terms()["entropy"]) is reloaded.EntropySettings


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "logs.mean(dim=1)",
            r"objective\.entropy: expected one number in a tensor as entropy, got shape",
        ),
        ("1.0", r"objective\.entropy: expected one number in a tensor as entropy, got 1\.0"),
        (
            '{"unlabelled": logs.sum()}',
            r"objective\.entropy: expected parts whose names no other term",
        ),
    ],
)
def test_a_value_that_is_none_names_its_term(
    value: str, message: str, load, quick_recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    body = "return -(logs.exp() * logs).sum(dim=1).mean()"
    module = load("my_entropy", ENTROPY.replace(body, f"return {value}"))
    changed = quick_recipe.objective.with_term(module.EntropySettings(weight=1))
    with pytest.raises(UserError, match=message):
        train(replace(quick_recipe, objective=changed), tmp_path / "run", console=quiet)


def test_every_term_says_what_it_needs() -> None:
    for name, term in registry.TERMS.items():
        assert term.name == name and term.needs <= NEEDS and term.players
