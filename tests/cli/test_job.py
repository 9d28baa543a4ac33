"""Jobs: what their files resolve to, and what a user sees when one is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import List

import pytest
import yaml

from mindspore_rec.cli.job import dump_job, load_job, schedule_of
from mindspore_rec.config import ConfigError
from mindspore_rec.data import part_formats
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import EpochRunner, Job, OnlineRunner
from tests.cli.job_files import FLAT, LISTS, SAME_IN_LISTS, builtins, job_file


def loaded(tmp_path: Path, text: str, *overrides: str) -> Job:
    return load_job(str(job_file(tmp_path, text)), overrides)


def test_the_list_style(tmp_path: Path) -> None:
    (runner,) = loaded(tmp_path, LISTS).runners
    config = runner.config
    assert isinstance(config, EpochRunner)
    assert (config.name, config.runner_class, config.device, config.epochs, config.gpus) == (
        "single_cpu_train",
        "train",
        "cpu",
        10,
        (),
    )
    assert (config.save_checkpoint_interval, config.save_inference_interval, config.print_interval) == (2, 4, 10)
    (phase,) = runner.phases
    assert (phase.name, phase.model) == ("phase_train", str(tmp_path / "model.py"))
    assert phase.dataset.data_path == str(tmp_path / "train_data")
    assert (phase.dataset.type, phase.dataset.batch_size) == ("DataLoader", 2)
    assert (phase.dataset.sparse_slots, phase.dataset.dense_slots) == ("click 1 2 3", "dense_var:13")


@pytest.mark.parametrize("name", ["feasign_slot", "slot_feasign", "raw_tsv", "parquet"])
def test_the_formats_are_those_that_parts_are_read_in(name: str, tmp_path: Path) -> None:
    assert callable(getattr(part_formats, name))
    for text, key in ((LISTS, "dataset.dataset_train.data_format"), (FLAT, "runner.data_format")):
        (runner,) = loaded(tmp_path, text, f"{key}={name}").runners
        assert runner.phases[0].dataset.data_format == name


@pytest.mark.parametrize("slots", ["", "click 1 2 3"])
def test_the_style_says_the_format_and_not_the_slots(slots: str, tmp_path: Path) -> None:
    for text, key, name in (
        (LISTS.replace("  dense_slots: dense_var:13\n", ""), "dataset.dataset_train", "slot_feasign"),
        (FLAT, "runner", "feasign_slot"),
    ):
        (runner,) = loaded(tmp_path, text, f"{key}.sparse_slots={slots}", f"{key}.data_format=").runners
        assert runner.phases[0].dataset.data_format == name


def test_slots_are_what_a_schema_takes(tmp_path: Path) -> None:
    slots = "label " + " ".join(map(str, range(9000)))
    job = loaded(tmp_path, FLAT, f"runner.sparse_slots={slots[:16000]}", "runner.dense_slots='价格:9999 b:1'")
    dataset = job.runners[0].phases[0].dataset
    assert SlotSchema.from_keys(dataset.sparse_slots, dataset.dense_slots).dense_dim == 10000


@pytest.mark.parametrize(
    ("name", "runner_class", "gpus"),
    [
        ("single_gpu_train", "train", (0,)),
        ("single_multi_gpu_train", "train", (0, 1, 2, 3)),
        ("local_cluster_cpu_train", "local_cluster_train", ()),
        ("single_cpu_infer", "infer", ()),
        ("cluster", "cluster_train", ()),
    ],
)
def test_every_class(name: str, runner_class: str, gpus: tuple, tmp_path: Path) -> None:
    (runner,) = loaded(tmp_path, LISTS, f"mode={name}").runners
    assert (runner.config.name, runner.config.runner_class, runner.config.gpus) == (name, runner_class, gpus)


def test_mode_may_be_several_and_no_phases_are_all(tmp_path: Path) -> None:
    job = loaded(tmp_path, LISTS, "mode=[single_cpu_infer, single_cpu_train]", "runner.single_cpu_train.phases=")
    assert [[phase.name for phase in runner.phases] for runner in job.runners] == [
        ["phase_infer"],
        ["phase_train", "phase_infer"],
    ]
    assert job.runners[1].config.phases == ("phase_train", "phase_infer")


def test_the_flat_style(tmp_path: Path) -> None:
    job = loaded(tmp_path, FLAT)
    (runner,) = job.runners
    assert isinstance(runner.config, OnlineRunner)
    assert (runner.config.runner_class, runner.config.sync_mode) == ("online_train", "async")
    assert schedule_of(runner.config).passes_per_day == 144
    (phase,) = runner.phases
    assert phase.model == str(tmp_path / "model.py")
    assert (phase.dataset.data_path, phase.dataset.batch_size) == (str(tmp_path / "data"), 32)
    assert (phase.dataset.type, phase.dataset.data_format) == ("InmemoryDataset", "feasign_slot")
    assert job.hyper_parameters["layer_sizes"] == [512, 256, 128]
    accessor = job.table_parameters["embedding"].accessor
    assert (accessor.embedx_threshold, accessor.ctr_accessor_param.base_threshold) == (10, 1.5)
    assert accessor.embedx_sgd_param.adagrad.learning_rate == 0.05
    assert accessor.embedx_sgd_param.adagrad.weight_bounds == (-1, 1)


def test_defaults_are_paddlerecs(tmp_path: Path) -> None:
    few = "runner: {train_data_dir: d, model_save_path: m, start_day: 20190720, end_day: 20190720}\nworkspace: .\n"
    (runner,) = loaded(tmp_path, f"{few}table_parameters: {{embedding: {{}}}}\n").runners
    config = runner.config
    assert isinstance(config, OnlineRunner)
    assert (config.split_interval, config.split_per_pass, config.checkpoint_per_pass) == (5, 1, 6)
    assert (config.save_delta_frequency, config.data_donefile, config.data_sleep_second) == (6, "", 10)
    assert (config.save_first_base, config.prefetch, config.need_train_dump, config.need_infer_dump) == (False,) * 4
    assert (config.infer_batch_size, config.infer_thread_num, config.save_policy) == (1, 1, "frequency")
    dataset = runner.phases[0].dataset
    assert (dataset.batch_size, dataset.thread_num) == (1, 12)


def test_both_styles_of_a_job_are_one(tmp_path: Path) -> None:
    flat, lists = loaded(tmp_path, FLAT), loaded(tmp_path, SAME_IN_LISTS)
    assert replace(flat, hyper_parameters={}, table_parameters={}) == lists


@pytest.mark.parametrize("text", [LISTS, FLAT, SAME_IN_LISTS])
def test_what_is_printed_is_the_same_job(text: str, tmp_path: Path) -> None:
    job = loaded(tmp_path, text, *(["mode=[cluster, single_cpu_infer]"] if text == LISTS else []))
    printed = dump_job(job)
    assert "{workspace}" not in printed
    assert load_job(str(job_file(tmp_path / "other", printed, model=False))) == job
    assert yaml.safe_load(printed)["workspace"] == str(tmp_path)


@pytest.mark.parametrize(
    ("override", "found"),
    [("runner.single_cpu_train.epochs=3", 3), ("runner.single_cpu_train.epochs='4'", 4)],
)
def test_overrides_by_name(override: str, found: int, tmp_path: Path) -> None:
    (runner,) = loaded(tmp_path, LISTS, override).runners
    assert runner.config.epochs == found  # type: ignore[union-attr]


def test_overrides_of_the_flat_style(tmp_path: Path) -> None:
    changes = ("runner.split_per_pass=12", "hyper_parameters.optimizer.class=SGD", "runner.selected_gpus=1")
    more = ("runner.train_batch_size=7", "table_parameters.wide.accessor.embedx_threshold=2", "runner.end_day=20190801")
    job = loaded(tmp_path, FLAT, *changes, *more)
    (runner,) = job.runners
    assert isinstance(runner.config, OnlineRunner)
    assert schedule_of(runner.config).passes_per_day == 24
    assert (runner.config.selected_gpus, runner.config.end_day) == ("1", "20190801")
    assert runner.phases[0].dataset.batch_size == 7
    assert job.hyper_parameters["optimizer"]["class"] == "SGD"
    assert job.table_parameters["wide"].accessor.embedx_threshold == 2


LARGE = "0x" + "F" * 6000
FLAT_ERRORS = [
    ("runner.sync_mode=geo", "runner.sync_mode = 'geo' (-o): expected sync or async; geo, heter and gpubox are not"),
    ("runner.sync_mode=heter", "runner.sync_mode = 'heter'"),
    ("runner.sync_mode=gpubox", "runner.sync_mode = 'gpubox'"),
    ("runner.sync_mode=half", "expected one of sync, async"),
    ("runner.train_batch_size=0", "runner.train_batch_size = 0 (-o): expected a whole number >= 1"),
    ("runner.train_batch_size=true", "runner.train_batch_size = True (-o): expected a whole number"),
    ("runner.train_batchsize=4", "unknown key 'runner.train_batchsize' (-o); did you mean 'train_batch_size'?"),
    ("runner.batch_size=4", "unknown key 'runner.batch_size' (-o)"),
    ("runner.split_intervall=5", "did you mean 'split_interval'?"),
    ("runner.split_interval=7", "split_interval = 7: expected minutes that divide a day"),
    ("runner.split_per_pass=7", "split_per_pass = 7: expected a number that divides the 288 splits"),
    ("runner.end_day=20190719", "end_day = '20190719': expected start_day, 20190720, or a day after it"),
    ("runner.start_day=2019-07-20", "runner.start_day = '2019-07-20' (-o): expected a day such as 20190720"),
    ("runner.start_day=20190230", "start_day = '20190230': expected a day such as 20190720"),
    ("runner.start_day=", "runner.start_day is not given: expected text (first day, such as 20190720)"),
    ("runner.train_data_dir=", "runner.train_data_dir is not given: expected text that is not empty"),
    ("runner.model_save_path=", "runner.model_save_path is not given"),
    ("runner.data_sleep_second=.inf", "runner.data_sleep_second = inf (-o): expected a finite number"),
    ("runner.data_sleep_second=nan", "runner.data_sleep_second = nan (-o): expected a finite number"),
    ("runner.data_sleep_second=soon", "runner.data_sleep_second = 'soon' (-o): expected a number"),
    ("runner.data_donefile=a/b", "runner.data_donefile = 'a/b' (-o): expected the name of a file in each split"),
    ("runner.data_donefile=.", "runner.data_donefile = '.' (-o): expected the name of a file in each split"),
    ("runner.data_donefile=..", "runner.data_donefile = '..'"),
    ('runner.data_donefile="a\\0"', "runner.data_donefile = 'a"),
    ('runner.data_donefile="\\uD800"', "expected the name of a file in each split"),
    ("runner.data_donefile=" + "点" * 86, "expected the name of a file in each split"),
    ("runner.epochs=3", "unknown key 'runner.epochs' (-o): class online_train trains a pass once"),
    ("runner.use_gpu=true", "unknown key 'runner.use_gpu' (-o): the key is device"),
    ("runner.pipe_command=x", "the format of the files is named by data_format"),
    ("runner.selected_gpus='0,0'", "expected GPU numbers that differ"),
    ("runner.class=online_trian", "runner.class = 'online_trian' (-o): expected one of train, infer, online_train"),
    ("runner.dense_slots=a", "runner.dense_slots (-o): dense_slots: 'a', expected name:width"),
    ("runner.dense_slots='a:1'", "runner.dense_slots (-o): sparse_slots: empty, expected the label's slot"),
    ("runner.sparse_slots=click 1 1", "runner.sparse_slots (-o): slot '1': is there twice"),
    ("runner.sparse_slots='click a:b'", "runner.sparse_slots (-o): slot 'a:b': expected a printable name"),
    ("runner.sparse_slots=click", "runner.sparse_slots (-o): 0 slots beside the label"),
    ("runner.data_format=named_slots", "runner.data_format = 'named_slots' (-o): expected one of feasign_slot"),
    ("runner.data_format=criteo", "runner.data_format = 'criteo' (-o): expected one of feasign_slot, slot_feasign"),
    ("runner.reader_type=Magic", "runner.reader_type = 'Magic' (-o): expected one of DataLoader"),
    ("runner=5", "runner (-o): expected a mapping of keys, or a list of runners"),
    ("runners.a=5", "unknown key 'runners'"),
    ("mode=other", "mode = 'other' (-o) is not there: expected one of runner"),
    ("phase=[]", "phase (-o): expected only where runner is a list"),
    ("workspace=5", "workspace = 5 (-o): expected a folder or a built-in model"),
    ("hyper_parameters=5", "hyper_parameters = 5 (-o): expected a mapping"),
    ("table_parameters.a=5", "table_parameters.a (-o): expected a mapping of keys to values"),
    ("table_parameters.a.accessor.embedx_treshold=5", "(-o); did you mean 'embedx_threshold'?"),
    (
        "table_parameters.a.accessor.ctr_accessor_param.show_click_decay_rate=2",
        "table_parameters.a.accessor.ctr_accessor_param.show_click_decay_rate = 2 (-o): expected a number > 0 and <= 1",
    ),
    (
        "table_parameters.a.accessor.embed_sgd_param.adagrad.weight_bounds=[1, 1]",
        "expected the least weight, then the largest",
    ),
    (
        "table_parameters.a.accessor.embed_sgd_param.adagrad.weight_bounds=['-inf', 'inf']",
        "such as -10,10; both finite",
    ),
    ("workspace=" + "w" * 300, "workspace = 'www"),
    ('workspace="a\\0b"', "workspace = 'a\\x00b'"),
    ("workspace=" + LARGE, "more than 64 bits"),
    ("mode=" + LARGE, "more than 64 bits"),
    ("mode=[" + LARGE + "]", "more than 64 bits"),
    ("runner.name=" + LARGE, "more than 64 bits"),
    ("runner.print_interval=" + LARGE, "more than 64 bits"),
    ("hyper_parameters={? " + LARGE + " : 1}", "more than 64 bits"),
    ("hyper_parameters=!!set {a}", "has a set; expected mappings"),
]


@pytest.mark.parametrize(("override", "part"), FLAT_ERRORS)
def test_a_wrong_flat_configuration(override: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(part)) as error:
        loaded(tmp_path, FLAT, override)
    assert "\n" not in str(error.value)


LIST_ERRORS: List[tuple] = [
    ("mode=", "mode = None"),
    ("mode=[]", "mode = []"),
    ("mode=[cluster, cluster]", "expected one or several of single_cpu_train, "),
    ("mode=single_cpu_trian", "mode = 'single_cpu_trian' (-o) is not there; did you mean 'single_cpu_train'?"),
    ("runner.cluster.class=", "runner.cluster.class is not given: expected one of train,"),
    ("runner.cluster.phases=[phase_trian]", None),
    ("runner.single_cpu_train.phases=[phase_trian]", "phases = 'phase_trian' (-o) is not there; did you mean"),
    ("runner.single_cpu_train.epochs=0", "runner.single_cpu_train.epochs = 0 (-o): expected a whole number >= 1"),
    ("runner.single_cpu_train.start_day=20190720", "unknown key 'runner.single_cpu_train.start_day' (-o)"),
    ("runner.single_cpu_infer.init_model_path=", "runner.single_cpu_infer.init_model_path = '': expected the folder"),
    ("phase.phase_train.dataset_name=dataset_tarin", "is not there; did you mean 'dataset_train'?"),
    ("phase.phase_train.model='{workspace}/net.py'", "phase.phase_train.model = '{workspace}/net.py' (-o): expected a"),
    ("dataset.dataset_train.batch_size=-1", "dataset.dataset_train.batch_size = -1 (-o): expected a whole number >= 1"),
    ("dataset.dataset_train.data_path=", "dataset.dataset_train.data_path is not given"),
    ("phase.phase_train.model=" + "m" * 300, "phase.phase_train.model = 'mmm"),
    ("phase.phase_train.dataset_name=" + LARGE, "more than 64 bits"),
    (
        "dataset.dataset_train.dense_slots='1:2'",
        "dataset.dataset_train.sparse_slots (config.yaml), dataset.dataset_train.dense_slots (-o): slot '1': is there",
    ),
    ("dataset.dataset_infer.sparse_slots=click", "dataset.dataset_infer.sparse_slots (-o): 0 slots beside the label"),
    ("dataset=", "dataset (-o): expected a list of entries with names"),
    ("phase=[{model: a}]", "phase (-o): expected entries with a name"),
    ("phase=[{name: a, dataset_name: d}, {name: a}]", "expected names that differ, found 'a' twice"),
]


@pytest.mark.parametrize(("override", "part"), LIST_ERRORS)
def test_a_wrong_configuration_of_lists(override: str, part: str, tmp_path: Path) -> None:
    if part is None:  # a runner that does not run may refer to phases of another day
        assert loaded(tmp_path, LISTS, override)
        return
    with pytest.raises(ConfigError, match=re.escape(part)) as error:
        loaded(tmp_path, LISTS, override)
    assert "\n" not in str(error.value)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"runner.train_batch_size = 'x' \(config.yaml\): expected a whole number"):
        loaded(tmp_path, FLAT.replace("train_batch_size: 32", "train_batch_size: x"))


def test_a_built_in_model_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    models = builtins(tmp_path / "installed")
    for name in ("mindspore_rec.models.rank.dnn", "models/rank/dnn", str(models / "rank/dnn")):
        (phase,) = load_job(name, models=models).runners[0].phases
        assert phase.model == str(models / "rank/dnn/model.py")
        assert phase.dataset.data_path == str(models / "rank/dnn/train_data")
    own = job_file(tmp_path / "mine/rank/dnn", LISTS.replace("workspace: .\n", ""), model=False)
    (phase,) = load_job(str(own), models=models).runners[0].phases
    assert phase.model == str(models / "rank/dnn/model.py")
    assert phase.dataset.data_path == str(own.parent / "train_data")
