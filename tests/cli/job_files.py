"""Configurations of jobs, and a folder of built-in models, for the tests of how they are read."""

from __future__ import annotations

from pathlib import Path

LISTS = """
workspace: .
mode: single_cpu_train
runner:
- name: single_cpu_train
  class: train
  device: cpu
  epochs: 10
  save_checkpoint_interval: 2
  save_inference_interval: 4
  save_checkpoint_path: increment
  save_inference_path: inference
  save_inference_feed_varnames: []
  save_inference_fetch_varnames: []
  init_model_path: ""
  print_interval: 10
  phases: [phase_train]
- {name: single_gpu_train, class: single_train, device: gpu, selected_gpus: "0", epochs: 10}
- {name: single_multi_gpu_train, class: train, device: gpu, selected_gpus: "0,1,2,3", epochs: 10}
- {name: local_cluster_cpu_train, class: local_cluster, device: cpu, worker_num: 1, server_num: 1, epochs: 10}
- {name: single_cpu_infer, class: infer, init_model_path: increment, phases: [phase_infer]}
- {name: cluster, class: cluster_train, worker_num: 4, server_num: 2}
phase:
- {name: phase_train, model: "{workspace}/model.py", dataset_name: dataset_train}
- {name: phase_infer, dataset_name: dataset_infer}
dataset:
- name: dataset_train
  type: DataLoader
  batch_size: 2
  data_path: "{workspace}/train_data"
  sparse_slots: click 1 2 3
  dense_slots: dense_var:13
- {name: dataset_infer, batch_size: 5, data_path: "{workspace}/test_data"}
"""

FLAT = """
workspace: .
runner:
  train_data_dir: "{workspace}/data"
  train_batch_size: 32
  train_thread_num: 3
  split_interval: 5
  split_per_pass: 2
  start_day: "20190720"
  end_day: "20190722"
  checkpoint_per_pass: 6
  data_donefile: data.done
  data_sleep_second: 1
  model_save_path: output_model
  infer_batch_size: 64
  sync_mode: async
  print_interval: 1
hyper_parameters:
  optimizer: {class: Adam, learning_rate: 5e-6}
  layer_sizes: [512, 256, 128]
table_parameters:
  embedding:
    accessor:
      embedx_threshold: 10
      ctr_accessor_param: {base_threshold: 1.5, show_click_decay_rate: 0.98}
      embedx_sgd_param: {adagrad: {learning_rate: 5e-2, weight_bounds: [-1, 1]}}
"""

SAME_IN_LISTS = """
workspace: .
runner:
- name: runner
  class: online_train
  split_interval: 5
  split_per_pass: 2
  start_day: 20190720
  end_day: 20190722
  checkpoint_per_pass: 6
  data_donefile: data.done
  data_sleep_second: 1
  model_save_path: output_model
  infer_batch_size: 64
  sync_mode: async
  print_interval: 1
phase: [{name: phase, dataset_name: dataset}]
dataset:
- {name: dataset, type: InmemoryDataset, data_format: feasign_slot, data_path: "{workspace}/data", batch_size: 32,
   thread_num: 3}
"""


def job_file(folder: Path, text: str, model: bool = True) -> Path:
    """A configuration in a folder, with a model.py beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    if model:
        (folder / "model.py").touch()
    return path


def builtins(folder: Path) -> Path:
    """A folder of built-in models: rank/dnn with a configuration, recall/word2vec without one."""
    for name in ("rank/dnn", "recall/word2vec", "rerank/listwise", "rank/layers"):
        (folder / name).mkdir(parents=True)
    for name in ("rank/dnn", "recall/word2vec", "rerank/listwise"):
        (folder / name / "model.py").touch()
    (folder / "rank/dnn/config.yaml").write_text(LISTS.replace("workspace: .\n", ""), "utf-8")
    return folder
