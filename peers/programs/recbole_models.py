"""RecBole's NeuMF and SASRec, leave one out: fitted to training, early stopped on each user's last event of it.

Not refitted on that event afterwards, as RecBole's own quick start does not; each question's scores are of all items.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main

# At most. One of SASRec's takes two minutes of a core for 29,000 events, of NeuMF's some seconds.
_EPOCHS = {"NeuMF": 10, "SASRec": 5}
_COMMON = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "use_gpu": False,
    "state": "ERROR",
    "show_progress": False,
    "stopping_step": 2,
    "train_batch_size": 2048,
    "eval_batch_size": 4096,
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "eval_args": {
        "split": {"LS": "valid_only"},
        "order": "TO",
        "group_by": "user",
        "mode": {"valid": "uni100", "test": "uni100"},
    },
}
_OF_MODEL: dict[str, dict[str, Any]] = {
    "NeuMF": {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 4}},
    "SASRec": {"train_neg_sample_args": None, "loss_type": "CE", "MAX_ITEM_LIST_LENGTH": 50},
}


class _RecBole:
    def __init__(self, name: str, task: Task) -> None:
        self._name = name
        self._seed = task.seed
        self.state_bytes = 0
        self.settings: dict[str, Any] = {"epochs_at_most": _EPOCHS[name], "settings": "RecBole's defaults"}

    def __call__(self, task: Task) -> NDArray[np.float32]:
        """Fit, and score all items for those who are asked about."""
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.utils import get_model, get_trainer, init_seed

        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "task"
            place.mkdir()
            lines = ["user_id:token\titem_id:token\ttimestamp:float"]
            lines += [
                f"u{user}\ti{item}\t{at}"
                for at, (user, item) in enumerate(zip(task.user.tolist(), task.item.tolist(), strict=True))
            ]
            (place / "task.inter").write_text("\n".join(lines) + "\n", "utf-8")
            own = {
                "data_path": folder,
                "seed": self._seed,
                "checkpoint_dir": folder,
                "epochs": _EPOCHS[self._name],
            } | _OF_MODEL[self._name]
            config = Config(model=self._name, dataset="task", config_dict=_COMMON | own)
            init_seed(self._seed, True)
            dataset = create_dataset(config)
            train, valid, _ = data_preparation(config, dataset)
            model = get_model(config["model"])(config, train.dataset).to(config["device"])
            trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
            trainer.fit(train, valid, saved=True, show_progress=False, verbose=False)
            self.settings["epochs"] = len(trainer.train_loss_dict)
            # RecBole writes its checkpoint with pickles, in this folder, a moment ago.
            best = torch.load(trainer.saved_model_file, weights_only=False)
            model.load_state_dict(best["state_dict"])
            self.state_bytes = sum(one.numel() * one.element_size() for one in model.parameters())
            return self._scores(task, dataset, model)

    def _scores(self, task: Task, dataset: Any, model: Any) -> NDArray[np.float32]:
        from recbole.data.interaction import Interaction

        model.eval()
        tokens = np.array([f"i{item}" for item in range(task.items)])
        known = {token: at for token, at in dataset.field2token_id["item_id"].items()}
        rows = np.array([known.get(token, -1) for token in tokens])
        scores = np.full((len(task.asked), task.items), -np.inf, np.float32)
        by_user: dict[int, list[int]] = {}
        for user, item in zip(task.user.tolist(), task.item.tolist(), strict=True):
            by_user.setdefault(user, []).append(item)
        with torch.no_grad():
            for at, user in enumerate(task.asked.tolist()):
                number = dataset.token2id("user_id", f"u{user}")
                if self._name == "SASRec":
                    recent = [known[f"i{item}"] for item in by_user[user][-50:]]
                    padded = torch.zeros(1, 50, dtype=torch.long)
                    padded[0, : len(recent)] = torch.tensor(recent)
                    asked = Interaction({"item_id_list": padded, "item_length": torch.tensor([len(recent)])})
                    said = model.full_sort_predict(asked)[0].numpy()
                else:
                    count = dataset.item_num
                    pairs = {"user_id": torch.full((count,), number), "item_id": torch.arange(count)}
                    said = model.predict(Interaction(pairs)).numpy()
                scores[at, rows >= 0] = said[rows[rows >= 0]]
        return scores


def _maker(name: str) -> Callable[[Task], _RecBole]:
    return lambda task: _RecBole(name, task)


if __name__ == "__main__":
    import recbole

    main(
        {"NeuMF": _maker("NeuMF"), "SASRec": _maker("SASRec")},
        {"recbole": recbole.__version__, "torch": torch.__version__},
    )
