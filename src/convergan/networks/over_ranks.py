"""Networks that several ranks train as one process would train them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.dropout import AlphaDropout, FeatureAlphaDropout, _DropoutNd

from convergan.distributed import gather_rows
from convergan.draws import draw_rows, with_rows
from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.layers import BatchNorm
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination


def take_whole_batches(network: nn.Module) -> None:
    """Has the layers of a network compute, in training, what they would from the batch of all ranks, in place.

    Batch normalization takes its statistics, minibatch discrimination its other samples, from the rows of all
    ranks; dropout draws its masks as `convergan.draws` does. Names in the state dict stay as they are. Every
    rank must call the network alike.

    Args:
        network: whose batch normalizations are of this package, or in `GroupedBatchNorm`.
    """
    for module in list(network.modules()):
        if isinstance(module, BatchNorm | GroupedBatchNorm):
            module.over_ranks = True
        elif isinstance(module, MinibatchDiscrimination):
            module.gather = gather_rows
        # A layer may have several names.
        for name, layer in list(module._modules.items()):
            # The mask of the others is no factor.
            if isinstance(layer, _DropoutNd) and not isinstance(
                layer, AlphaDropout | FeatureAlphaDropout
            ):
                setattr(module, name, _DropoutOfRows(layer))


class _DropoutOfRows(nn.Module):
    """Dropout by the masks that `layer` draws for the whole batch."""

    def __init__(self, layer: _DropoutNd) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch *features"]:
        if not self.training:
            return inputs

        def mask(rows: int) -> Tensor:
            factors: Tensor = self.layer(torch.ones_like(with_rows(inputs, rows)))
            return factors

        return inputs * draw_rows(mask, inputs.shape[0])
