"""Typed sections of a job: runners that run phases, each a model file and the data it reads.

The keys are PaddleRec's. ``cli/job.py`` fills these classes from a YAML file of either of its two styles.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, Mapping, Tuple, Type, Union

from pydantic import Field, field_validator, model_validator

from mindspore_rec.config import Section

NAME = r"^[A-Za-z0-9_-]+$"
SAME_CLASS = {"single_train": "train", "local_cluster": "local_cluster_train"}
CLUSTER_CLASSES = ("local_cluster_train", "cluster_train")


class DatasetConfig(Section):
    """Where the rows of a phase come from."""

    name: str = Field(..., pattern=NAME, description="its name, which phases refer to")
    type: Literal["DataLoader", "QueueDataset", "InmemoryDataset"] = Field(
        "DataLoader", description="InmemoryDataset shuffles what it has loaded, the others keep the order of the files"
    )
    batch_size: int = Field(1, ge=1, le=1000000, description="rows in a batch")
    data_path: str = Field(..., min_length=1, description="folder of the files; of the days for online_train")
    data_format: Literal["feasign_slot", "slot_feasign", "raw_tsv", "parquet"] = Field(
        "slot_feasign",
        description="of the files (docs/slot_text.md); default: slot_feasign, as 'click:0 1:7', in a list of datasets, "
        "and feasign_slot, as '0:1 7:2', where runner is one mapping",
    )
    sparse_slots: str = Field("", description="names of the label and of the sparse slots, split by spaces")
    dense_slots: str = Field("", description="name:size of the dense slots, split by spaces")
    thread_num: int = Field(12, ge=1, le=1024, description="threads that read")


class PhaseConfig(Section):
    """What a runner runs: a model file on a dataset."""

    name: str = Field(..., pattern=NAME, description="its name, which runners refer to")
    model: str = Field("{workspace}/model.py", min_length=1, description="model file")
    dataset_name: str = Field(..., pattern=NAME, description="name of its dataset")


class RunnerConfig(Section):
    """What every runner has: where it runs and what."""

    name: str = Field(..., pattern=NAME, description="its name, which mode refers to")
    runner_class: Literal["train", "infer", "online_train", "local_cluster_train", "cluster_train"] = Field(
        ..., alias="class", description="what it does"
    )
    device: Literal["cpu", "gpu"] = Field("cpu", description="where the dense part runs")
    selected_gpus: str = Field("0", pattern=r"^\d{1,3}(,\d{1,3})*$", description="numbers of the GPUs, split by commas")
    worker_num: int = Field(1, ge=1, le=4096, description="processes that train; of cluster classes and online_train")
    server_num: int = Field(
        0, ge=0, le=4096, description="processes that only hold tables, likewise; default: 1 of the cluster classes"
    )
    sync_mode: Literal["sync", "async"] = Field("sync", description="async: rows may be one step older (staleness)")
    init_model_path: str = Field("", description="saved model to begin with; empty: new")
    print_interval: int = Field(10, ge=1, description="batches between two lines of training information")
    phases: Tuple[str, ...] = Field((), description="names of the phases to run, in order; none: all")

    @model_validator(mode="before")
    @classmethod
    def _a_server(cls, values: Any) -> Any:
        clustered = SAME_CLASS.get(values.get("class"), values.get("class")) in CLUSTER_CLASSES
        return {"server_num": 1, **values} if clustered else values

    @field_validator("runner_class", mode="before")
    @classmethod
    def _other_names(cls, value: Any) -> Any:
        return SAME_CLASS.get(value, value) if isinstance(value, str) else value

    @field_validator("selected_gpus", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value  # `selected_gpus: 0` is a number in YAML

    @field_validator("selected_gpus")
    @classmethod
    def _differ(cls, value: str) -> str:
        if len({int(number) for number in value.split(",")}) != len(value.split(",")):
            raise ValueError("GPU numbers that differ, such as '0,1'")
        return value

    @field_validator("sync_mode", mode="before")
    @classmethod
    def _supported(cls, value: Any) -> Any:
        if value in ("geo", "heter", "gpubox"):
            raise ValueError("sync or async; geo, heter and gpubox are not supported")
        return value

    @property
    def gpus(self) -> Tuple[int, ...]:
        """Numbers of the GPUs, none on a CPU."""
        return tuple(int(number) for number in self.selected_gpus.split(",")) if self.device == "gpu" else ()

    @property
    def ranks(self) -> Tuple[int, int]:
        """Processes that train, and those that only hold tables; train on several GPUs has one for each."""
        if self.runner_class in (*CLUSTER_CLASSES, "online_train"):
            return self.worker_num, self.server_num
        return max(1, len(self.gpus)) if self.runner_class == "train" else 1, 0


class EpochRunner(RunnerConfig):
    """A runner over a fixed set of files: all classes but online_train."""

    epochs: int = Field(1, ge=1, description="times the files are trained on")
    save_checkpoint_interval: int = Field(0, ge=-1, description="epochs between two checkpoints; 0 or -1: none")
    save_inference_interval: int = Field(0, ge=-1, description="epochs between two inference models; 0 or -1: none")
    save_checkpoint_path: str = Field("increment", min_length=1, description="folder of the checkpoints")
    save_inference_path: str = Field("inference", min_length=1, description="folder of the inference models")
    save_inference_feed_varnames: Tuple[str, ...] = Field((), description="inputs of the inference model; none: all")
    save_inference_fetch_varnames: Tuple[str, ...] = Field((), description="outputs of it; none: the prediction")

    @model_validator(mode="after")
    def _has_a_model(self) -> EpochRunner:
        if self.runner_class == "infer" and not self.init_model_path:
            raise ValueError("init_model_path = '': expected the folder of a saved model for class infer")
        return self


class OnlineRunner(RunnerConfig):
    """The runner that trains pass by pass, as data arrive: class online_train."""

    start_day: str = Field(..., description="first day, such as 20190720")
    end_day: str = Field(..., description="last day")
    split_interval: int = Field(5, ge=1, le=1440, description="minutes of data in a folder, a split")
    split_per_pass: int = Field(1, ge=1, le=1440, description="splits in a pass")
    data_donefile: str = Field("", description="file that says a split is complete; empty: no wait")
    data_sleep_second: float = Field(10.0, gt=0, le=86400, description="seconds between two looks for it")
    prefetch: bool = Field(False, description="wait for the next pass and load it while one is trained")
    infer_batch_size: int = Field(1, ge=1, le=1000000, description="rows in a batch that is predicted")
    infer_thread_num: int = Field(1, ge=1, le=1024, description="threads that read what is only predicted")
    model_save_path: str = Field(..., min_length=1, description="folder of checkpoints, exports and donefiles")
    save_policy: Literal["frequency", "hourly"] = Field(
        "frequency",
        description="hourly: a checkpoint after hour 0 and a delta after the others, in place of the next two",
    )
    checkpoint_per_pass: int = Field(6, ge=1, description="a checkpoint every so many passes of a day")
    save_delta_frequency: int = Field(6, ge=1, description="a delta export every so many passes of a day")
    save_first_base: bool = Field(False, description="a base export before the first pass")
    need_train_dump: bool = Field(False, description="write train_dump_fields and train_dump_params of the model")
    train_dump_fields_dir: str = Field("train_dump_data", min_length=1, description="folder of them")
    need_infer_dump: bool = Field(False, description="write infer_dump_fields of the model")
    infer_dump_fields_dir: str = Field("infer_dump_data", min_length=1, description="folder of them")
    gauc_slot: str = Field("", description="slot whose values are the groups of GAUC; empty: no GAUC")

    @field_validator("data_donefile")
    @classmethod
    def _name(cls, value: str) -> str:
        named = value.isprintable() and "/" not in value and len(value.encode()) <= 255
        if not named or value in (".", ".."):  # such a file never is there
            raise ValueError("the name of a file in each split, no path")
        return value

    @field_validator("start_day", "end_day", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        text = str(value) if type(value) is int else value  # `start_day: 20190720` is a number in YAML
        if not isinstance(text, str) or not re.fullmatch("[0-9]{8}", text):
            raise ValueError("a day such as 20190720")
        return text


class CtrAccessorConfig(Section):
    """Show-click rules of a table (Paddle's CtrCommonAccessor)."""

    nonclk_coeff: float = Field(0.1, description="worth of a show without click")
    click_coeff: float = Field(1.0, description="worth of a click")
    base_threshold: float = Field(0.0, description="least score of a row in a base export")
    delta_threshold: float = Field(0.0, description="least growth of the score of a row in a delta export")
    delta_keep_days: int = Field(16, ge=0, description="days unseen after which a row is in no export")
    show_click_decay_rate: float = Field(1.0, gt=0, le=1, description="of shows and clicks at the end of a day")
    delete_threshold: float = Field(0.0, description="score below which the end of a day removes a row")
    delete_after_unseen_days: int = Field(30, ge=0, description="days unseen after which it does")


class AdagradConfig(Section):
    """Adagrad with one accumulator a row (Paddle's SparseAdaGradSGDRule)."""

    learning_rate: float = Field(0.05, gt=0, description="learning rate")
    initial_g2sum: float = Field(3.0, gt=0, description="what the accumulator is compared with")
    initial_range: float = Field(1e-4, ge=0, description="new weights are drawn from +- this")
    weight_bounds: Tuple[float, float] = Field((-10.0, 10.0), description="least and largest weight")

    @field_validator("weight_bounds")
    @classmethod
    def _ordered(cls, value: Tuple[float, float]) -> Tuple[float, float]:
        if not -math.inf < value[0] < value[1] < math.inf:
            raise ValueError("the least weight, then the largest, such as -10,10; both finite")
        return value


class SgdRuleConfig(Section):
    """The optimizer of a table."""

    name: Literal["SparseAdaGradSGDRule"] = Field("SparseAdaGradSGDRule", description="which one")
    adagrad: AdagradConfig = Field(AdagradConfig(), description="its settings")


class AccessorConfig(Section):
    """The rows of a table."""

    embedx_threshold: float = Field(0.0, ge=0, description="score from which on an id has a vector beside its weight")
    ctr_accessor_param: CtrAccessorConfig = Field(CtrAccessorConfig(), description="show-click rules")
    embed_sgd_param: SgdRuleConfig = Field(SgdRuleConfig(), description="optimizer of the weights")
    embedx_sgd_param: SgdRuleConfig = Field(SgdRuleConfig(), description="optimizer of the vectors")


class TableParameters(Section):
    """Rules of an embedding table."""

    pooling: Literal["sum", "mean", "max"] = Field("sum", description="of several values of a slot")
    accessor: AccessorConfig = Field(AccessorConfig(), description="rows and their rules")


@dataclass(frozen=True)
class Phase:
    """A model file and the data it reads."""

    name: str
    model: str
    dataset: DatasetConfig


@dataclass(frozen=True)
class Runner:
    """A runner and its phases, in order."""

    config: Union[EpochRunner, OnlineRunner]
    phases: Tuple[Phase, ...]


@dataclass(frozen=True)
class Job:
    """What one start of the program does.

    Attributes:
        workspace: folder that ``{workspace}`` stood for, but in the ``model`` of a phase.
        runners: in the order they run.
        hyper_parameters: of the model; its own section gives them types.
        table_parameters: by name of the table.
    """

    workspace: str
    runners: Tuple[Runner, ...]
    hyper_parameters: Mapping[str, Any]
    table_parameters: Mapping[str, TableParameters]


def runner_section(runner_class: str) -> Type[Union[EpochRunner, OnlineRunner]]:
    """The section of a runner of a class.

    >>> runner_section("online_train").__name__, runner_section("single_train").__name__
    ('OnlineRunner', 'EpochRunner')
    """
    return OnlineRunner if runner_class == "online_train" else EpochRunner
