"""The networks of `mnist` and of its peer in small, for images of 64 pixels."""

from convergan.recipes.networks import MLPSettings
from harness.peers.mnist import Discriminator, Generator, Peer

NETWORKS = MLPSettings(hidden=(60, 40), generator_hidden=(40,), latent_size=20)


def dense_peer() -> Peer:
    """A peer with `NETWORKS`."""
    return Peer(
        Discriminator(pixels=64, hidden=(60, 40)),
        Generator(pixels=64, hidden=(40,), latent_size=20),
        latent_size=20,
    )
