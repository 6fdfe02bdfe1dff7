"""Two processes (gloo) come to what one comes to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch_models.tastes import write_two_tastes

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
# Batches of 25: the processes' shares differ, and the last batch of an epoch of windows has one row for two processes.
PROGRAM = """
import sys
import numpy as np, torch
from safetensors.torch import save_file
from batch_models import distributed
from batch_models.gmf import GMF, GMFConfig
from batch_models.hybrid import Hybrid, HybridConfig, NextItem
from batch_models.lift import LiftConfig, lift_tables
from batch_models.objectives import AllItems, SampledPairs
from batch_models.sequences import training_windows
from batch_models.trainer import Trainer, TrainingConfig
from tests.batch_models.tastes import two_tastes

torch.set_num_threads(1)
data, cpu = two_tastes(), torch.device("cpu")
weight = np.random.default_rng(0).random(data.size, np.float32)
config = TrainingConfig(epochs=2, batch_size=25, rate=0.01)
with distributed.group() as rank:
    assert distributed.size() == int(sys.argv[2])
    saved = {}
    for name, objective in (
        ("pairs", SampledPairs(data, weight, "bce", 3, cpu)),
        ("all", AllItems(data, weight, "bce", 4, cpu)),
    ):
        model = GMF(data.users, data.items, GMFConfig(4), 0)
        losses = [epoch.loss for epoch in Trainer(model, objective, config).fit().epochs]
        saved |= {f"{name}.{key}": value for key, value in model.state_dict().items()}
        saved[f"{name}.losses"] = torch.tensor(losses)
    windows = training_windows(data, 6, 6)
    windows = windows._replace(**{key: part[:26] for key, part in windows._asdict().items()})
    content = np.random.default_rng(1).random((data.items, 2), np.float32)
    model = Hybrid(HybridConfig(8, 6, 1, 2, 0.0), content, np.ones(data.items, np.float32), 0, None, lift_tables(data, 2, LiftConfig()))
    Trainer(model, NextItem(windows, 8, cpu, 2), config).fit()
    saved |= {f"hybrid.{key}": value for key, value in model.state_dict().items()}
    if rank == 0:
        save_file({key: value.contiguous() for key, value in saved.items()}, sys.argv[1])
"""


@pytest.mark.full
def test_two_processes_come_to_what_one_comes_to(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from torch.testing import assert_close

    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    found = {}
    for processes in (1, 2):
        out = tmp_path / f"{processes}.safetensors"
        started = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
        command = [sys.executable, *started, str(program), str(out), str(processes)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found[processes] = load_file(out)
    assert found[1].keys() == found[2].keys()
    for name, value in found[1].items():
        pair = (found[2][name], value)
        if name.endswith("project.bias"):
            # The middle third, of keys, adds the same to all logits of a query: its gradient is rounding alone.
            pair = tuple(torch.cat((one[:8], one[16:])) for one in pair)
        assert_close(*pair, rtol=1e-3, atol=1e-4, msg=lambda said, name=name: f"{name}: {said}")


@pytest.mark.full
def test_the_command_under_torchrun_writes_one_result_of_the_same_figures(tmp_path: Path) -> None:
    write_two_tastes(tmp_path)
    arguments = ["-m", "engram", "train", "gmf", "--protocol", "leave-one-out", "--threads", "1"]
    arguments += ["--data-dir", str(tmp_path), "--param", "gmf.fit.epochs=4", "--param", "gmf.fit.patience=0"]
    found = {}
    for name, before in {
        "one": [],
        "two": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    }.items():
        out = tmp_path / name
        done = subprocess.run(
            [sys.executable, *before, *arguments, "--out", str(out)],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # The second process says nothing.
        assert done.stdout.count("choose gmf, epoch 1") == 1
        assert not (out / "fits").exists()
        (found[name],) = json.loads((out / "result.json").read_text())["models"]["gmf"]
    assert found["two"]["epochs"] == found["one"]["epochs"]
    for of in ("sampled", "all_items"):
        assert found["two"][of] == pytest.approx(found["one"][of], abs=0.02)
    losses = [
        [epoch["loss"] for epoch in run["curves"]["refit"]["gmf"]] for run in (found["one"], found["two"])
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
