"""PaddleRec's two styles of a configuration, as entries of one: runners, phases and datasets with names.

The older style lists them. In the flat style of its streaming trainer ``runner`` is one mapping that also says what is
read: it becomes a runner, a phase with the workspace's model.py, and a dataset. Where ``data_format`` is not given,
that one is of ``feasign_slot`` files, as those of slot_dnn are, and the ones of a list are of ``slot_feasign`` files.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Tuple

from mindspore_rec.cli.section_values import Origin, unknown_key
from mindspore_rec.config import ConfigError
from mindspore_rec.job_config import DatasetConfig

TOP_LEVEL = ("workspace", "mode", "runner", "phase", "dataset", "hyper_parameters", "table_parameters")
#: Flat keys of what is read, and the keys of a dataset they are.
FLAT_DATASET = {
    "train_data_dir": "data_path",
    "train_batch_size": "batch_size",
    "train_thread_num": "thread_num",
    "reader_type": "type",
    "data_format": "data_format",
    "sparse_slots": "sparse_slots",
    "dense_slots": "dense_slots",
}
_NO_EFFECT = "it has no effect here, remove it"
#: Keys of PaddleRec's that are refused, and what to do in place of them.
INSTEAD = {
    "train_reader_path": "the format of the files is named by data_format",
    "infer_reader_path": "the format of the files is named by data_format",
    "pipe_command": "the format of the files is named by data_format",
    "infer_data_dir": "a pass is predicted before it is trained on",
    "infer_load_path": "the key is init_model_path",
    "model_init_path": "the key is init_model_path",
    "use_gpu": "the key is device, cpu or gpu",
    "use_auc": "AUC is always logged",
    **dict.fromkeys(("dataset_debug", "split_file_list", "use_gloo", "use_inference", "parse_ins_id"), _NO_EFFECT),
}
ONLINE_INSTEAD = {**INSTEAD, "epochs": "class online_train trains a pass once, remove it"}


class Entry(NamedTuple):
    """A runner, phase or dataset as it was given.

    Attributes:
        values: its keys.
        path: dotted path in the file.
        names: keys that are written in another way there.
        also: keys that may stand beside them there.
    """

    values: Mapping[str, Any]
    path: str
    names: Mapping[str, str] = {}
    also: Tuple[str, ...] = ()


class Entries(NamedTuple):
    """All of a configuration, by name, in order."""

    runner: Dict[str, Entry]
    phase: Dict[str, Entry]
    dataset: Dict[str, Entry]


def entries_of(document: Mapping[str, Any], origin: Origin) -> Entries:
    """The entries of a configuration of either style.

    Raises:
        ConfigError: a key is unknown, ``runner`` is neither of both, or a name is missing or given twice.
    """
    for key in document:
        if key not in TOP_LEVEL:
            raise unknown_key(key, origin(key), TOP_LEVEL, INSTEAD)
    runner = document.get("runner")
    if isinstance(runner, Mapping):
        for key in ("phase", "dataset"):
            if document.get(key) is not None:
                raise ConfigError(f"{key} ({origin(key)}): expected only where runner is a list")
        return _flat(runner)
    if not isinstance(runner, list) or not runner:
        raise ConfigError(f"runner ({origin('runner')}): expected a mapping of keys, or a list of runners with names")
    return Entries(*(_listed(key, document.get(key), origin) for key in ("runner", "phase", "dataset")))


def _flat(runner: Mapping[str, Any]) -> Entries:
    own = {"name": "runner", "class": "online_train"}
    own.update({key: value for key, value in runner.items() if key not in FLAT_DATASET and value is not None})
    read = {FLAT_DATASET[key]: value for key, value in runner.items() if key in FLAT_DATASET and value is not None}
    read = {"name": "dataset", "type": "InmemoryDataset", "data_format": "feasign_slot", **read}
    if read["type"] == "RecDataset":  # PaddleRec's own loader: in the order of the files
        read["type"] = "DataLoader"
    known = [key for key in DatasetConfig.model_fields if key != "name"]
    names = {key: flat for flat, key in FLAT_DATASET.items() if key in known}
    phase = {"name": "phase", "dataset_name": "dataset"}
    return Entries(
        {str(own["name"]): Entry(own, "runner", also=tuple(FLAT_DATASET))},
        {"phase": Entry(phase, "phase")},
        {"dataset": Entry(read, "runner", names)},
    )


def _listed(key: str, given: Any, origin: Origin) -> Dict[str, Entry]:
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{key} ({origin(key)}): expected a list of entries with names")
    found: Dict[str, Entry] = {}
    for values in given:
        name = values.get("name") if isinstance(values, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{key} ({origin(key)}): expected entries with a name, found {str(values)[:60]!r}")
        if name in found:
            raise ConfigError(f"{key} ({origin(key)}): expected names that differ, found {name!r} twice")
        found[name] = Entry(values, f"{key}.{name}")
    return found
