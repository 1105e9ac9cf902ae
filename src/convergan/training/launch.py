"""Lightning Fabric as a recipe's hardware settings describe it."""

import os

from lightning_fabric import Fabric

from convergan.recipes.settings import HardwareSettings


def launch(settings: HardwareSettings) -> Fabric:
    """One process, or several, launched here or already by torchrun."""
    devices, nodes = settings.devices, 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    several = devices * nodes > 1
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        # The loop lowers the precision of the discriminator's step alone.
        precision="32-true",
    )
    fabric.launch()
    return fabric
