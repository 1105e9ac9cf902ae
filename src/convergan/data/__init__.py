"""From files to batches: sources, the store of decoded images, splits, and batches by index."""

from convergan.data.batches import DeviceImages, epoch_order, to_network, to_uint8
from convergan.data.image_set import (
    UNLABELLED,
    DataSet,
    ImageSet,
    SkippedImage,
    data_set_from_arrays,
)
from convergan.data.read_images import find_images, read_images
from convergan.data.source import open_data_set
from convergan.data.splits import Split, draw_folds, draw_split, number_of_folds
from convergan.data.test_set import TestSet
from convergan.data.training_data import TrainingData

__all__ = [
    "UNLABELLED",
    "DataSet",
    "DeviceImages",
    "ImageSet",
    "SkippedImage",
    "Split",
    "TestSet",
    "TrainingData",
    "data_set_from_arrays",
    "draw_folds",
    "draw_split",
    "epoch_order",
    "find_images",
    "number_of_folds",
    "open_data_set",
    "read_images",
    "to_network",
    "to_uint8",
]
