"""Techniques of the paper in a plain PyTorch loop: scikit-learn's digits, 100 labels.

The discriminator classifies with `semi_supervised_loss`; the generator minimizes
`feature_matching_loss`, is normalized by `VirtualBatchNorm1d`, and pays `HistoricalAveraging`.
A run that was interrupted goes on exactly:

    python examples/plain_loop.py --checkpoint run.pt --stop-after 120
    python examples/plain_loop.py --checkpoint run.pt --resume
"""

import argparse
import hashlib
import os

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from convergan import (
    HistoricalAveraging,
    ReferenceBatch,
    VirtualBatchNorm1d,
    feature_matching_loss,
    semi_supervised_loss,
)

BATCH, NOISE, REFERENCE, LABELS = 100, 20, 50, 100


def make_discriminator():
    hidden = nn.Sequential(nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU())
    return nn.ModuleDict({"features": hidden, "logits": nn.Linear(100, 10)})


def make_generator():
    network = nn.Sequential(
        nn.Linear(NOISE, 200),
        VirtualBatchNorm1d(200, REFERENCE, gain=False),
        nn.Softplus(),
        nn.Linear(200, 64),
        nn.Sigmoid(),
    )
    return ReferenceBatch(network, reference=torch.rand(REFERENCE, NOISE))


def make_optimizer(network):
    # eps: with PyTorch's default of 1e-8 feature matching explodes.
    return torch.optim.Adam(network.parameters(), lr=0.003, betas=(0.5, 0.999), eps=1e-4)


def save(path, step, parts):
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"step": step, "random_state": torch.get_rng_state()}
    torch.save(checkpoint, f"{path}.part")
    os.replace(f"{path}.part", path)  # an interrupted write leaves the checkpoint before it


def load(path, parts):
    checkpoint = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(checkpoint[name])
    torch.set_rng_state(checkpoint["random_state"])
    return checkpoint["step"]


def weights_hash(*networks):
    digest = hashlib.sha256()
    for network in networks:
        for weight in network.state_dict().values():
            digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="length of the whole run")
    parser.add_argument("--checkpoint", default="plain_loop.pt", help="file to save to")
    parser.add_argument("--stop-after", type=int, help="stop at this step, as if interrupted")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # such small networks gain nothing from more
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=500, random_state=0
    )

    discriminator, generator = make_discriminator(), make_generator()
    averaging = HistoricalAveraging(generator)
    discriminator_optimizer = make_optimizer(discriminator)
    generator_optimizer = make_optimizer(generator)
    parts = {
        "discriminator": discriminator,
        "generator": generator,
        "averaging": averaging,
        "discriminator_optimizer": discriminator_optimizer,
        "generator_optimizer": generator_optimizer,
    }
    first = load(arguments.checkpoint, parts) if arguments.resume else 0
    last = min(arguments.steps, arguments.stop_after or arguments.steps)

    def logits(x):
        return discriminator["logits"](discriminator["features"](x))

    for _ in range(first, last):
        labelled = torch.randint(LABELS, (BATCH,))
        unlabelled = torch.randint(len(images), (BATCH,))

        # The discriminator: classify the labelled, tell the unlabelled from the generated.
        with torch.no_grad():
            generated = generator(torch.rand(BATCH, NOISE))
        loss = semi_supervised_loss(
            logits(images[labelled]),
            labels[labelled],
            logits(images[unlabelled]),
            logits(generated),
        ).total
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()

        # The generator: match the mean features of the data, and stay near its own past.
        with torch.no_grad():
            real_features = discriminator["features"](images[unlabelled])
        features = discriminator["features"](generator(torch.rand(BATCH, NOISE)))
        loss = feature_matching_loss(real_features, features, reduction="mean")
        loss = loss + 1e-4 * averaging.penalty()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        averaging.update()
    save(arguments.checkpoint, last, parts)

    with torch.no_grad():
        errors = (logits(test_images).argmax(1) != test_labels).sum().item()
    print(f"step {last}: {errors} errors on {len(test_labels)} test images")
    print(f"SHA-256 of the weights: {weights_hash(discriminator, generator)}")


if __name__ == "__main__":
    main()
