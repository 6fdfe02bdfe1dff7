"""One epoch of NeuMF on ncf-ml-1m with 4 negatives: Engram's training on tensors, and a plain DataLoader.

    python -m benchmarks.neumf_epoch --data-dir DIR

Both train the same model (GMF of 8 factors, tower 64-32-16-8, He et al. 2017, BCE, Adam) on the same positives in one
process and with the same threads. The plain implementation is the one commonly found: negatives drawn in Python before
the epoch, a map-style Dataset, `DataLoader(batch_size=256, shuffle=True)`, `torch.nn` modules. It is timed on a fraction of
an epoch and extrapolated in proportion; Engram's epochs are whole. Both are process CPU time and wall time, in turn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from batch_models.content_features import ContentConfig
from batch_models.device import pick_device, use_threads
from batch_models.interactions import Interactions
from batch_models.neumf import NeuMF, NeuMFConfig
from batch_models.objectives import SampledPairs
from batch_models.trainer import Trainer, TrainingConfig
from engram.train_leave_one_out import protocol_of
from producers.leave_one_out import find_leave_one_out, read_leave_one_out

NEGATIVES = 4
CONFIG = NeuMFConfig(factors=8, layers=(64, 32, 16, 8))


class PlainNeuMF(nn.Module):
    """NeuMF as it is usually written."""

    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        first, *rest = CONFIG.layers
        self.gmf_user, self.gmf_item = (
            nn.Embedding(users, CONFIG.factors),
            nn.Embedding(items, CONFIG.factors),
        )
        self.mlp_user, self.mlp_item = nn.Embedding(users, first // 2), nn.Embedding(items, first // 2)
        layers: list[nn.Module] = []
        for width, after in zip(CONFIG.layers, rest, strict=False):
            layers += [nn.Linear(width, after), nn.ReLU()]
        self.mlp = nn.Sequential(*layers)
        self.output = nn.Linear(CONFIG.factors + rest[-1], 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Score pairs. user, item: int64[b]; float[b]."""
        products = self.gmf_user(user) * self.gmf_item(item)  # [b, d]
        hidden = self.mlp(torch.cat((self.mlp_user(user), self.mlp_item(item)), -1))  # [b, l_last]
        return self.output(torch.cat((products, hidden), -1)).squeeze(-1)  # [b]


class PlainPairs(Dataset[tuple[int, int, float]]):
    """Positives, each followed by negatives drawn one by one."""

    def __init__(self, data: Interactions, last: int, had: set[tuple[int, int]], seed: int) -> None:
        random = np.random.default_rng(seed)
        self.rows: list[tuple[int, int, float]] = []
        for user, item in zip(data.user[:last].tolist(), data.item[:last].tolist(), strict=True):
            self.rows.append((user, item, 1.0))
            for _ in range(NEGATIVES):
                drawn = int(random.integers(data.items))
                while (user, drawn) in had:
                    drawn = int(random.integers(data.items))
                self.rows.append((user, drawn, 0.0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[int, int, float]:
        return self.rows[row]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of some work."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def plain_epoch(data: Interactions, positives: int, batch_size: int) -> Callable[[], object]:
    """Part of an epoch of the plain implementation, with the drawing of its negatives."""
    model = PlainNeuMF(data.users, data.items)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss_of = nn.BCEWithLogitsLoss()
    # Once a run, not once an epoch: not timed.
    had = set(zip(data.user.tolist(), data.item.tolist(), strict=True))

    def run() -> None:
        pairs = PlainPairs(data, positives, had, 0)
        for user, item, label in DataLoader(pairs, batch_size=batch_size, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(user, item), label.float())
            loss.backward()
            optimizer.step()

    return run


def engram_epoch(data: Interactions, batch_size: int, device: torch.device) -> Callable[[], object]:
    """An epoch of Engram's."""
    model = NeuMF(data.users, data.items, CONFIG, 0).to(device)
    weight = np.ones(data.size, np.float32)
    objective = SampledPairs(data, weight, "bce", NEGATIVES, device)
    return Trainer(model, objective, TrainingConfig(epochs=1, batch_size=batch_size)).fit


def main() -> None:
    """Time both in turn; print a line each, and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--fraction", type=float, default=0.02, help="of an epoch, for the plain implementation"
    )
    parser.add_argument("--plain-batch-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=4096, help="positives a step, Engram's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    threads = use_threads(arguments.threads)
    data = protocol_of(
        read_leave_one_out(find_leave_one_out(arguments.data_dir)), (), ContentConfig(), 0
    ).train
    part = int(data.size * arguments.fraction)
    samples = data.size * (1 + NEGATIVES)
    device = pick_device(arguments.device)
    engram_epoch(data.take(slice(0, 50_000)), arguments.batch_size, device)()
    rounds = []
    for _ in range(arguments.rounds):
        plain = timed(plain_epoch(data, part, arguments.plain_batch_size))
        ours = timed(engram_epoch(data, arguments.batch_size, device))
        rounds.append({"plain": [seconds * data.size / part for seconds in plain], "engram": list(ours)})
        print(json.dumps(rounds[-1]), flush=True)
    medians = {
        who: [float(np.median([one[who][clock] for one in rounds])) for clock in (0, 1)]
        for who in ("plain", "engram")
    }
    for who, name in (
        ("plain", f"plain DataLoader, {arguments.fraction:.0%} of an epoch, extrapolated"),
        ("engram", "Engram"),
    ):
        cpu, wall = medians[who]
        print(f"{name}: {cpu:.1f} s CPU, {wall:.1f} s wall, {samples / cpu:,.0f} samples per CPU second")
    ratios = [medians["plain"][clock] / medians["engram"][clock] for clock in (0, 1)]
    print(
        f"ratio: {ratios[0]:.1f} by CPU time, {ratios[1]:.1f} by wall time; {threads} threads, {samples:,} samples an epoch"
    )


if __name__ == "__main__":
    main()
