"""Claim: the peer of `mnist` is no straw man: what it errs after as many epochs as ours.

    python benchmarks/mnist_peer_accuracy.py --data DIR [--seed 2] [--epochs 100] [--threads N] [--runs DIR]

The peer alone, on the seed's labelled images, its errors those of averaged weights after the last epoch; ours
are those after the same epoch that `mnist_100` kept, which is to be run first: of the same seed, and of all,
whose spread says how much is chance. Progress is in RUNS/mnist-peer-seed2 after every epoch; the same command
goes on from there, on a machine that computes alike. At most as many epochs as our rate is constant: the
peer's does not fall.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from convergan.recipes.presets import PRESETS
from convergan.training.preparation import prepare
from epochs_in_turn import PeersEpochs
from equal_terms import require_constant_rate, without_baseline
from kept_epochs import PEER, Ledger, PeersRun, conditions
from kept_runs import MNIST_100, kept_runs
from peer_mnist import Peer
from rows import row, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    recipe = without_baseline(replace(PRESETS["mnist"], seed=arguments.seed), arguments.data)
    require_constant_rate(parser, recipe, arguments.epochs)
    kept = {
        seed: run.errors[: arguments.epochs]
        for seed, run in kept_runs(MNIST_100).items()
        if len(run.errors) >= arguments.epochs
    }
    if arguments.seed not in kept:
        raise SystemExit(
            f"{MNIST_100}: expected {arguments.epochs} epochs or more of seed {arguments.seed}, got"
            f" them of seeds {list(kept)}; first run mnist_100.py --seeds {arguments.seed}, or leave"
            " BENCHMARK_RESULTS where they are"
        )
    runs = arguments.runs / f"mnist-peer-seed{arguments.seed}"
    runs.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    preparation = prepare(recipe, None, processes=1)
    test = preparation.split.test
    assert test is not None
    ledger = Ledger(runs / "progress.jsonl", target=0, epochs=arguments.epochs)
    # Its errors do not depend on how many processes decode.
    peers = PeersEpochs(Peer(), arguments.data, preparation, workers=0)
    run = PeersRun(peers, ledger, runs / "peer.pt", len(test))
    trains = run.epochs < arguments.epochs
    found = conditions(runs / "conditions.json", recipe, dict, trains=trains)
    run.go_on(arguments.epochs)
    of_peer = ledger.of(PEER)[: arguments.epochs]
    errors = [round(line["error_rate"] * len(test)) for line in of_peer]
    measured = row(
        claim="the peer's errors after as many epochs as ours",
        setting=f"mnist, {recipe.labels} labels, seed {arguments.seed}, after epoch {len(errors)}",
        device=found["device"],
        precision=found["precision"],
        ours=kept[arguments.seed][-1],
        peer=errors[-1],
        peer_name="plain PyTorch (benchmarks/peer_mnist.py)",
        unit=f"errors of {len(test)}",
        repeats=1,
        seeds=list(kept),
        ours_by_seed=[of_seed[-1] for of_seed in kept.values()],
        ours_by_epoch=kept[arguments.seed],
        peer_by_epoch=errors,
        resumed_epochs=[line["epoch"] for line in of_peer if line["resumed"]],
        trained_at_commits=found["trained_at_commits"],
    )
    print(f"epoch {len(errors)}: ours {measured['ours']} errors, the peer {measured['peer']}")
    print(write_rows(f"mnist-peer-accuracy-seed{arguments.seed}", [measured]))


if __name__ == "__main__":
    main()
