"""The public names: one line adds one, for `import convergan` and for type checkers alike."""

from convergan.data.image_set import DataSet as DataSet
from convergan.data.image_set import data_set_from_arrays as data_set_from_arrays
from convergan.distributed import gather_rows as gather_rows
from convergan.distributed import mean_over_ranks as mean_over_ranks
from convergan.errors import UserError as UserError
from convergan.inference.evaluate import Evaluation as Evaluation
from convergan.inference.evaluate import evaluate as evaluate
from convergan.inference.predict import Predictions as Predictions
from convergan.inference.predict import predict as predict
from convergan.inference.sample import sample as sample
from convergan.metrics.frechet import FrechetInceptionDistance as FrechetInceptionDistance
from convergan.metrics.frechet import frechet_distance as frechet_distance
from convergan.metrics.frechet import gaussian_statistics as gaussian_statistics
from convergan.metrics.inception_score import InceptionScore as InceptionScore
from convergan.metrics.inception_score import divergences as divergences
from convergan.metrics.inception_weights import load_inception as load_inception
from convergan.metrics.kernel_distance import kernel_distance as kernel_distance
from convergan.metrics.kernel_inception_distance import (
    KernelInceptionDistance as KernelInceptionDistance,
)
from convergan.metrics.manifold import (
    precision_recall_density_coverage as precision_recall_density_coverage,
)
from convergan.metrics.memorization import nearest_training_images as nearest_training_images
from convergan.networks.grouped_batch_norm import GroupedBatchNorm as GroupedBatchNorm
from convergan.networks.grouped_batch_norm import groups_of_batch as groups_of_batch
from convergan.networks.layers import BatchNormWithoutGain as BatchNormWithoutGain
from convergan.networks.noise import GaussianNoise as GaussianNoise
from convergan.recipes.augmentation import AugmentationSettings as AugmentationSettings
from convergan.recipes.files import read_recipe as read_recipe
from convergan.recipes.networks import ConvSettings as ConvSettings
from convergan.recipes.networks import FrozenSettings as FrozenSettings
from convergan.recipes.networks import ImageNetSettings as ImageNetSettings
from convergan.recipes.networks import MLPSettings as MLPSettings
from convergan.recipes.networks import ResidualSettings as ResidualSettings
from convergan.recipes.objective import ObjectiveSettings as ObjectiveSettings
from convergan.recipes.presets import PRESETS as PRESETS
from convergan.recipes.settings import DataSettings as DataSettings
from convergan.recipes.settings import HardwareSettings as HardwareSettings
from convergan.recipes.settings import OptimizerSettings as OptimizerSettings
from convergan.recipes.settings import Recipe as Recipe
from convergan.recipes.terms import ConditionalEntropySettings as ConditionalEntropySettings
from convergan.recipes.terms import ConsistencySettings as ConsistencySettings
from convergan.recipes.terms import FeatureMatchingSettings as FeatureMatchingSettings
from convergan.recipes.terms import HistoricalAveragingSettings as HistoricalAveragingSettings
from convergan.recipes.terms import MinimaxSettings as MinimaxSettings
from convergan.recipes.terms import NonSaturatingSettings as NonSaturatingSettings
from convergan.recipes.terms import PullAwaySettings as PullAwaySettings
from convergan.recipes.terms import RampedTermSettings as RampedTermSettings
from convergan.recipes.terms import RealOrGeneratedSettings as RealOrGeneratedSettings
from convergan.recipes.terms import SupervisedSettings as SupervisedSettings
from convergan.recipes.terms import TargetSettings as TargetSettings
from convergan.recipes.terms import TermSettings as TermSettings
from convergan.runs.classifier import Classifier as Classifier
from convergan.runs.model import load_classifier as load_classifier
from convergan.runs.model import load_generator as load_generator
from convergan.runs.results import Results as Results
from convergan.scoring.score import score as score
from convergan.scoring.scores import Scores as Scores
from convergan.scoring.settings import ScoreSettings as ScoreSettings
from convergan.study.analysis.analyse import analyse as analyse
from convergan.study.analysis.rates import Rates as Rates
from convergan.study.design.power import power_of_difference as power_of_difference
from convergan.study.design.power import power_of_thresholds as power_of_thresholds
from convergan.techniques.class_weights import balanced_class_weights as balanced_class_weights
from convergan.techniques.conditional_entropy import conditional_entropy as conditional_entropy
from convergan.techniques.consistency import AdaptiveThreshold as AdaptiveThreshold
from convergan.techniques.consistency import DistributionAlignment as DistributionAlignment
from convergan.techniques.consistency import align_distribution as align_distribution
from convergan.techniques.consistency import consistency_loss as consistency_loss
from convergan.techniques.feature_matching import feature_matching_loss as feature_matching_loss
from convergan.techniques.generator_losses import minimax_generator_loss as minimax_generator_loss
from convergan.techniques.generator_losses import (
    non_saturating_generator_loss as non_saturating_generator_loss,
)
from convergan.techniques.generator_losses import target_generator_loss as target_generator_loss
from convergan.techniques.historical_averaging import HistoricalAveraging as HistoricalAveraging
from convergan.techniques.label_smoothing import (
    one_sided_smoothing_loss as one_sided_smoothing_loss,
)
from convergan.techniques.minibatch_discrimination import (
    MinibatchDiscrimination as MinibatchDiscrimination,
)
from convergan.techniques.pull_away import pull_away_loss as pull_away_loss
from convergan.techniques.semi_supervised import real_or_generated_loss as real_or_generated_loss
from convergan.techniques.semi_supervised import real_probability_logit as real_probability_logit
from convergan.techniques.semi_supervised import semi_supervised_loss as semi_supervised_loss
from convergan.techniques.virtual_batch_norm import ReferenceBatch as ReferenceBatch
from convergan.techniques.virtual_batch_norm import VirtualBatchNorm1d as VirtualBatchNorm1d
from convergan.techniques.virtual_batch_norm import VirtualBatchNorm2d as VirtualBatchNorm2d
from convergan.techniques.weight_norm import WeightNormConv2d as WeightNormConv2d
from convergan.techniques.weight_norm import WeightNormConvTranspose2d as WeightNormConvTranspose2d
from convergan.techniques.weight_norm import WeightNormLinear as WeightNormLinear
from convergan.techniques.weight_norm import initialize_from_data as initialize_from_data
from convergan.training.options import RunOptions as RunOptions
from convergan.training.run import rehearse as rehearse
from convergan.training.run import train as train
from convergan.training.signals import Interrupted as Interrupted
from convergan.training.terms.registry import register_term as register_term
from convergan.training.terms.term import Term as Term
from convergan.training.terms.term import TermContext as TermContext
from convergan.training.terms.term import TermOutputs as TermOutputs

__version__: str
__all__: list[str]
