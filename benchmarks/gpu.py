"""Everything that a GPU is for, measured on one: `make gpu-bench DATA=DIR`, or `python -m benchmarks.gpu --data-dir DIR`.

1. An epoch of NeuMF with 4 negatives on ncf-ml-1m by batch size: samples/s, peak memory. The goal is 100 million samples/s.
2. NeuMF by the leave-one-out protocol: seconds of its fits to the chosen epochs. The goal is less than 60.
3. The table of all batch models.

Without a CUDA device it says so, and ends with 1: nothing is extrapolated. `--device cpu --limit N` tries the program out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from batch_models.content_features import ContentConfig
from batch_models.device import peak_memory_bytes, pick_device
from batch_models.interactions import Interactions
from batch_models.neumf import NeuMF
from batch_models.objectives import SampledPairs
from batch_models.trainer import Trainer, TrainingConfig
from benchmarks.neumf_epoch import CONFIG, NEGATIVES
from engram.leave_one_out import item_metadata
from engram.train_leave_one_out import COLUMNS, protocol_of, table_rows, train_leave_one_out
from engram.train_runs import Kept
from producers.leave_one_out import find_leave_one_out, read_leave_one_out

MODELS = ("hybrid", "neumf", "gmf", "mlp", "mf", "ials", "popularity")
BATCHES = (4_096, 65_536, 262_144, 1_048_576)


def epoch_seconds(data: Interactions, batch_size: int, device: torch.device) -> float:
    """Wall seconds of a second epoch: the first compiles and fills caches."""
    model = NeuMF(data.users, data.items, CONFIG, 0).to(device)
    objective = SampledPairs(data, np.ones(data.size, np.float32), "bce", NEGATIVES, device)
    trainer = Trainer(model, objective, TrainingConfig(epochs=2, batch_size=batch_size))
    return trainer.fit().epochs[-1].seconds


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=int, default=None, help="so many events of an epoch, and no fits")
    arguments = parser.parse_args()
    try:
        device = pick_device(arguments.device)
    except ValueError as error:
        raise SystemExit(f"Nothing was measured: {error}") from None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    print(f"{name}, torch {torch.__version__}")
    folder = find_leave_one_out(arguments.data_dir)
    questions = read_leave_one_out(folder)
    data = protocol_of(questions, (), ContentConfig(), 0).train.take(slice(0, arguments.limit))
    for batch_size in BATCHES:
        seconds = epoch_seconds(data, batch_size, device)
        memory = peak_memory_bytes(device)
        rate = data.size * (1 + NEGATIVES) / seconds
        print(
            f"NeuMF, {batch_size:,} positives a step: {seconds:.3f} s an epoch, {rate / 1e6:,.1f} million samples/s"
            + ("" if memory is None else f", peak memory {memory / 2**20:,.0f} MiB"),
            flush=True,
        )
    if arguments.limit is not None:
        return
    known = item_metadata(folder, arguments.data_dir)
    for models in (("neumf",), MODELS):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            result = train_leave_one_out(
                *(models, (), questions, known, ContentConfig(), [0], arguments.device, None),
                *(lambda *_: None, lambda _: None, Kept(Path(out))),
            )
        print(
            f"{', '.join(models)}: {time.perf_counter() - started:.1f} s with choosing, refitting and testing"
        )
        for row in (COLUMNS, *table_rows(result)):
            print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
