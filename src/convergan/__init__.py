"""convergan: "Improved Techniques for Training GANs" (Salimans et al., 2016) as software that people use.

Public names load when they are first used, so that `import convergan` and `convergan --help` need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from convergan.distributed import gather_rows as gather_rows
    from convergan.distributed import mean_over_ranks as mean_over_ranks
    from convergan.metrics.frechet import FrechetInceptionDistance as FrechetInceptionDistance
    from convergan.metrics.inception_score import InceptionScore as InceptionScore
    from convergan.metrics.inception_weights import load_inception as load_inception
    from convergan.metrics.kernel_distance import KernelInceptionDistance as KernelInceptionDistance
    from convergan.networks.grouped_batch_norm import GroupedBatchNorm as GroupedBatchNorm
    from convergan.networks.grouped_batch_norm import groups_of_batch as groups_of_batch
    from convergan.networks.layers import BatchNormWithoutGain as BatchNormWithoutGain
    from convergan.networks.noise import GaussianNoise as GaussianNoise
    from convergan.techniques.feature_matching import feature_matching_loss as feature_matching_loss
    from convergan.techniques.generator_losses import (
        minimax_generator_loss as minimax_generator_loss,
    )
    from convergan.techniques.generator_losses import (
        non_saturating_generator_loss as non_saturating_generator_loss,
    )
    from convergan.techniques.generator_losses import (
        target_generator_loss as target_generator_loss,
    )
    from convergan.techniques.historical_averaging import HistoricalAveraging as HistoricalAveraging
    from convergan.techniques.label_smoothing import (
        one_sided_smoothing_loss as one_sided_smoothing_loss,
    )
    from convergan.techniques.minibatch_discrimination import (
        MinibatchDiscrimination as MinibatchDiscrimination,
    )
    from convergan.techniques.semi_supervised import (
        real_probability_logit as real_probability_logit,
    )
    from convergan.techniques.semi_supervised import semi_supervised_loss as semi_supervised_loss
    from convergan.techniques.virtual_batch_norm import ReferenceBatch as ReferenceBatch
    from convergan.techniques.virtual_batch_norm import VirtualBatchNorm1d as VirtualBatchNorm1d
    from convergan.techniques.virtual_batch_norm import VirtualBatchNorm2d as VirtualBatchNorm2d
    from convergan.techniques.weight_norm import WeightNormConv2d as WeightNormConv2d
    from convergan.techniques.weight_norm import (
        WeightNormConvTranspose2d as WeightNormConvTranspose2d,
    )
    from convergan.techniques.weight_norm import WeightNormLinear as WeightNormLinear
    from convergan.techniques.weight_norm import initialize_from_data as initialize_from_data

_MODULE_OF = {
    "BatchNormWithoutGain": "networks.layers",
    "FrechetInceptionDistance": "metrics.frechet",
    "GaussianNoise": "networks.noise",
    "GroupedBatchNorm": "networks.grouped_batch_norm",
    "HistoricalAveraging": "techniques.historical_averaging",
    "InceptionScore": "metrics.inception_score",
    "KernelInceptionDistance": "metrics.kernel_distance",
    "MinibatchDiscrimination": "techniques.minibatch_discrimination",
    "ReferenceBatch": "techniques.virtual_batch_norm",
    "VirtualBatchNorm1d": "techniques.virtual_batch_norm",
    "VirtualBatchNorm2d": "techniques.virtual_batch_norm",
    "WeightNormConv2d": "techniques.weight_norm",
    "WeightNormConvTranspose2d": "techniques.weight_norm",
    "WeightNormLinear": "techniques.weight_norm",
    "feature_matching_loss": "techniques.feature_matching",
    "gather_rows": "distributed",
    "groups_of_batch": "networks.grouped_batch_norm",
    "initialize_from_data": "techniques.weight_norm",
    "load_inception": "metrics.inception_weights",
    "mean_over_ranks": "distributed",
    "minimax_generator_loss": "techniques.generator_losses",
    "non_saturating_generator_loss": "techniques.generator_losses",
    "one_sided_smoothing_loss": "techniques.label_smoothing",
    "real_probability_logit": "techniques.semi_supervised",
    "semi_supervised_loss": "techniques.semi_supervised",
    "target_generator_loss": "techniques.generator_losses",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
