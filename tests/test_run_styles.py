"""The two styles of configuration: the same job in either gives the same model, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.run import main
from tests.slot_files import write_rows

SLOTS = ["1", "2", "3", "4"]
HYPER = {"optimizer": {"class": "Adam", "learning_rate": 1e-3}, "fc_sizes": [8], "sparse_feature_dim": 3, "seed": 4}
TABLES = {"embedding": {"accessor": {"embedx_threshold": 0.3, "ctr_accessor_param": {"show_click_decay_rate": 0.9}}}}
RUNNER = {
    "split_interval": 360,
    "split_per_pass": 2,
    "start_day": "20190720",
    "end_day": "20190721",
    "checkpoint_per_pass": 1,
    "save_delta_frequency": 2,
    "data_donefile": "",
    "infer_batch_size": 16,
    "prefetch": True,
    "print_interval": 2,
}

FLAT = {
    "runner": {
        **RUNNER,
        "train_data_dir": "data",
        "train_batch_size": 8,
        "sparse_slots": " ".join(SLOTS),
        "model_save_path": "flat",
    },
    "hyper_parameters": HYPER,
    "table_parameters": TABLES,
}
LISTS = {
    "mode": "online",
    "runner": [{**RUNNER, "name": "online", "class": "online_train", "model_save_path": "lists"}],
    "phase": [{"name": "train", "model": "{workspace}/model.py", "dataset_name": "days"}],
    "dataset": [
        {
            "name": "days",
            "type": "InmemoryDataset",
            "batch_size": 8,
            "data_path": "data",
            "data_format": "feasign_slot",
            "sparse_slots": " ".join(SLOTS),
        }
    ],
    "hyper_parameters": HYPER,
    "table_parameters": TABLES,
}


def trained(folder: Path, document: dict) -> Checkpoint:
    config = folder / "rank" / "slot_dnn" / "config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(document), "utf-8")
    assert main(["-m", str(config)]) == 0
    runner = document["runner"]
    saved = folder / (runner if isinstance(runner, dict) else runner[0])["model_save_path"]
    (checkpoint,) = (saved / "20190722" / "0").glob("step-*")
    return read_state(checkpoint)


def test_the_same_job_in_both_styles_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        split = tmp_path / "data" / f"2019072{number // 4}" / f"{number % 4 * 6:02d}00"
        write_rows(split / "part-0", 30, SLOTS, seed=number, name_first=False)
    flat, lists = trained(tmp_path, FLAT), trained(tmp_path, LISTS)
    assert flat.groups.keys() == lists.groups.keys()
    assert {"dense", "table-embedding_w", "table-embedding_x"} <= flat.groups.keys()
    for group, arrays in flat.groups.items():
        for name, array in arrays.items():
            assert array.tobytes() == lists.groups[group][name].tobytes(), f"{group}/{name}"
