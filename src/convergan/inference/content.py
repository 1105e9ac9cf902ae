"""What images are, whatever their files are called: a checksum of their pixels."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from convergan.data.image_stream import Channels, ImageStream, Size
from convergan.distributed import ranks
from convergan.images.decode import Unreadable
from convergan.metrics.metric import GaussianStatistics


def with_sha256(images: ImageStream) -> tuple[ImageStream, Callable[[], str]]:
    """The same images, and the SHA-256 of those that have been decoded, of all processes together.

    It is of pixels as they were asked for, and the same in whatever order the images come.
    """
    digests: list[bytes] = []

    def decoded(
        channels: Channels | None, size: Size | None, some: slice
    ) -> Iterator[np.ndarray | Unreadable]:
        for image in images.decoded(channels, size, some):
            if not isinstance(image, Unreadable):
                digests.append(_sha256(image).digest())
            yield image

    def sha256() -> str:
        everyones = [digests]
        if ranks() > 1:
            everyones = [[] for _ in range(ranks())]
            torch.distributed.all_gather_object(everyones, digests)
        return hashlib.sha256(b"".join(sorted(chain(*everyones)))).hexdigest()

    return replace(images, decoded=decoded), sha256


def statistics_sha256(statistics: GaussianStatistics) -> str:
    """Of a mean and a covariance."""
    return _sha256(statistics.mean.numpy(), statistics.covariance.numpy()).hexdigest()


def _sha256(*arrays: np.ndarray) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest
