"""A cell of `few_labels` by a peer, in a process of its own, for its CPU seconds.

python -m harness.few_labels.peer_cell TASK METHOD DRAW --to FILE --seconds S --threads N [...]
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from convergan.json_files import write_json
from convergan.runs.provenance import device_name
from harness.command_line import command_parser
from harness.few_labels.budget import Budget, Predict
from harness.few_labels.data import TASKS, TaskData, data_settings, load_task_data
from harness.peers.classic import hog_svm, label_spreading, self_training
from harness.peers.frozen import frozen_features
from harness.peers.small_cnn import bf16_is_quicker, consistency, short_small_cnn, small_cnn

METHODS: dict[str, Callable[[TaskData, Budget], Predict]] = {
    "LabelSpreading": label_spreading,
    "SelfTraining": self_training,
    "HOG-SVM": hog_svm,
    "CNN-35s": short_small_cnn,
    "CNN": small_cnn,
    "FixMatch": consistency,
    "frozen": frozen_features,
}

WITH_A_NETWORK = ("CNN-35s", "CNN", "FixMatch", "frozen")


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("draw", type=int)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--clock", choices=("wall", "cpu"), required=True)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = TASKS[arguments.task]
    settings = data_settings(task, arguments.draw, mnist=arguments.mnist, folder=arguments.folder)
    images = load_task_data(task, arguments.draw, settings)
    # Found before the clock begins.
    bf16 = arguments.method in WITH_A_NETWORK and bf16_is_quicker()
    start, cpu_start = time.perf_counter(), time.process_time()
    budget = Budget(arguments.seconds, arguments.clock, arguments.threads, arguments.draw, bf16)
    predict = METHODS[arguments.method](images, budget)
    train_seconds, train_cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    wrong = predict(images.test_images) != images.test_labels
    write_json(
        arguments.to,
        {
            "test_errors": int(wrong.sum()),
            "test_size": len(wrong),
            "train_seconds": train_seconds,
            "train_cpu_seconds": train_cpu_seconds,
            "device": device_name(torch.device("cpu")),
            "precision": "bf16" if bf16 else "fp32",
        },
    )


if __name__ == "__main__":
    main()
