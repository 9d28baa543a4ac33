"""A small model trained pass by pass: its data, its configuration, and an exporter that notes what it was asked for."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import mindspore as ms
import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.data.part_reader import ReadRows, part_data
from mindspore_rec.data.slot_text import SlotTextParser
from mindspore_rec.job_config import DatasetConfig, OnlineRunner, TableParameters
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.stream.pass_schedule import PassSchedule
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.pass_model import PassModel
from mindspore_rec.train.pass_saver import PassExporter, PassSaver
from mindspore_rec.train.place import ALONE, Place

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

FIRST, SECOND, THIRD = "20190720", "20190721", "20190722"
SLOTS = ("2", "3", "4")
SPARSE_SLOTS = " ".join(("1", *SLOTS))
ROWS = 24  # of a file; two files a split
SAID = "said.txt"
RULES = {
    "embedx_threshold": 1.0,
    "ctr_accessor_param": {"show_click_decay_rate": 0.9, "delete_threshold": 0.15, "delete_after_unseen_days": 0},
}


PRICED = {"dense_slots": "price:2"}
#: A network whose logit is no number where both prices are too large: their sum is infinite, minus itself.
PRICES = '''
from mindspore import Parameter, Tensor
import numpy as np
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork
from mindspore import ops

class Settings(HyperParameters):
    """None of its own."""

class Network(SlotNetwork):
    def __init__(self, settings, schema, padding_id, tables):
        super().__init__(settings, schema, padding_id, tables)
        self.embedding = SlotEmbedding(2, tables, padding_id=padding_id)
        self.scale = Parameter(Tensor(np.ones((1, 1), np.float32)), name="scale")

    def variables(self, ids, dense):
        price = dense.sum(axis=1, keepdims=True)
        logit = self.embedding(ids).sum(axis=(1, 2)).reshape((-1, 1)) + (price - price) * self.scale
        return logit, ops.sigmoid(logit)
'''


class Note(NamedTuple):
    """What an exporter was asked for: into which folder, at which day of the tables, with how many rows in them."""

    what: str
    folder: str
    day: int
    rows: int


def lines(seed: Sequence[int], count: int = ROWS) -> str:
    """Rows of slot text: several values in some slots, none in others; some ids come again and again, some do not.

    One of them is 0, which is padding, and one has its highest bit set.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        slots = [f"{id}:{slot}" for slot in SLOTS for id in rng.integers(0, rng.choice([9, 300]), rng.integers(0, 3))]
        rows.append(" ".join([f"{rng.integers(0, 2)}:1", *slots, f"{2**63 + 7}:4"]))
    return "".join(f"{row}\n" for row in rows)


def write_split(folder: Path, name: str, donefile: str = "") -> Path:
    """A split of two files, whose rows are a function of its name."""
    split = folder / name
    split.mkdir(parents=True, exist_ok=True)
    for part in range(2):
        (split / f"part-{part}").write_text(lines([*name.encode(), part]))
    if donefile:
        (split / donefile).touch()
    return split


def write_days(folder: Path, schedule: PassSchedule, donefile: str = "") -> Path:
    """All splits of a schedule."""
    for key in schedule.passes():
        for name in schedule.folders(key):
            write_split(folder, name, donefile)
    return folder


def runner_of(save: Path, **options: Any) -> OnlineRunner:
    """Two days of four passes, a checkpoint every second, a delta after each."""
    given = {
        "name": "online",
        "class": "online_train",
        "start_day": FIRST,
        "end_day": SECOND,
        "split_interval": 360,
        "checkpoint_per_pass": 2,
        "save_delta_frequency": 1,
        "infer_batch_size": 32,
        "data_sleep_second": 0.01,
        "model_save_path": str(save),
    }
    return OnlineRunner(**{**given, **options})


def dataset_of(data: Any, **options: Any) -> DatasetConfig:
    """Slot text, loaded and shuffled."""
    given = {
        "name": "days",
        "type": "InmemoryDataset",
        "batch_size": 16,
        "data_path": str(data),
        "data_format": "feasign_slot",
        "sparse_slots": SPARSE_SLOTS,
    }
    return DatasetConfig(**{**given, **options})


def schedule_of(runner: OnlineRunner) -> PassSchedule:
    """As `PassModel` has it."""
    return PassSchedule(runner.start_day, runner.end_day, runner.split_interval, runner.split_per_pass)


def model_of(dataset: DatasetConfig, rules: Optional[Dict[str, Any]] = None, **settings: Any) -> Model:
    """slot_dnn with rows of three values and one hidden layer of four."""
    file = load_model_file(PACKAGE / "rank" / "slot_dnn" / "model.py")
    given = {"fc_sizes": (4,), "sparse_feature_dim": 3, "optimizer": {"class": "adam", "learning_rate": 0.02}}
    table = TableParameters(**{"accessor": RULES if rules is None else rules})
    data = part_data(dataset)
    return Model(file, file.settings(**{**given, **settings}), data.schema, data.padding_id, {"embedding": table})


def prices(*values: str) -> str:
    """Rows of two prices each."""
    return "".join(f"{k % 2}:1 {k + 5}:2 {price}:price {price}:price\n" for k, price in enumerate(values))


def prices_model(folder: Path) -> Model:
    """A user's model.py, whose logit is not finite where a price is 3e38."""
    path = folder / "model.py"
    path.write_text(PRICES)
    model, file = model_of(dataset_of("none", **PRICED)), load_model_file(path)
    return Model(file, file.settings(), model.schema, model.padding_id, model.tables)


def part_of(model: Model, text: str, size: int) -> PartDataset:
    """Rows of slot text in batches of `size`."""
    rows = SlotTextParser(model.schema, value_first=True).parse(text.encode()).rows
    return PartDataset(lambda: iter([ReadRows(rows, 0)]), model.schema, size)


def by_id(groups: Mapping[str, Arrays]) -> Dict[str, np.ndarray]:
    """The arrays of a checkpoint by group and name; rows of tables, and what waits for one, in the order of ids."""
    found = {}
    for group, arrays in groups.items():
        for name, array in arrays.items():
            prefix = name.rpartition(".")[0] + "." if "." in name else ""
            ids = arrays.get(f"{prefix}ids")
            of_ids = ids is not None and name not in ("step", "counters", "timeline")
            found[f"{group}/{name}"] = array[np.argsort(ids)] if of_ids else np.array(array)
    return found


def state_of(job: JobModel) -> Dict[str, np.ndarray]:
    """All of a model's state, to the bit: parameters, optimizers and tables."""
    checkpoint = job.state.checkpoint({})
    progress = checkpoint.meta["progress"]
    counters = ("step", "rows_trained", "rows_rejected", "rows_skipped")
    return {**by_id(checkpoint.groups), "progress": np.array([progress[name] for name in counters])}


def assert_same_state(found: Dict[str, np.ndarray], wanted: Dict[str, np.ndarray]) -> None:
    """All arrays equal to the bit."""
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes(), name


class Recorder:
    """An exporter that notes what it is asked for, and how far the tables were then.

    As an export of what changed, its deltas are part of the model's state: how many there were.

    Args:
        job: the model.
        notes: gets (what, folder below model_save_path, day of the tables, ids they hold).
        begins: called before each export; it may raise.
    """

    def __init__(self, job: JobModel, notes: List[Note], begins: Callable[[], None] = lambda: None) -> None:
        self._job, self._notes, self._begins, self._deltas = job, notes, begins, 0
        job.state.kept = {**job.state.kept, "exports": self}

    def base(self, folder: Path) -> None:
        self._note("base", folder)

    def delta(self, folder: Path) -> None:
        self._deltas += 1
        self._note("delta", folder)

    def inference(self, folder: Path) -> None:
        self._note("inference", folder)

    def text(self, folder: Path) -> None:
        self._note("text", folder)

    def state(self) -> Dict[str, np.ndarray]:
        return {"deltas": np.array([self._deltas])}

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        self._deltas = int(state["deltas"][0])

    def _note(self, what: str, folder: Path) -> None:
        self._begins()
        name = f"{folder.parent.name}/{folder.name.replace('.writing-', '')}"
        days = {int(table.state()["timeline"][-1, 2]) for table in self._job.tables}
        self._notes.append(Note(what, name, days.pop(), sum(len(table) for table in self._job.tables)))
        assert not days, "the tables have one day"
        (folder / SAID).write_text(digest_of(self._job))


def digest_of(job: JobModel) -> str:
    """Of all of a model's state."""
    found = hashlib.sha256()
    for name, array in sorted(state_of(job).items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def passes_of(
    save: Path,
    data: Any,
    notes: Optional[List[Note]] = None,
    *,
    begins: Callable[[], None] = lambda: None,
    place: Place = ALONE,
    dataset: Optional[Dict[str, Any]] = None,
    settings: Optional[Dict[str, Any]] = None,
    model: Optional[Model] = None,
    exporter: Optional[Callable[[JobModel], PassExporter]] = None,
    **runner: Any,
) -> PassModel:
    """slot_dnn, or the model given, over the days of `data`, with the exporter given or a `Recorder`."""
    given = dataset_of(data, **(dataset or {}))
    told: List[Note] = [] if notes is None else notes
    model = model or model_of(given, **(settings or {}))
    make = exporter or (lambda job: Recorder(job, told, begins))
    return PassModel(runner_of(save, **runner), given, model, make, place)


class Trainer:
    """A model that is compiled once and then goes on from what is in a folder, as a new process does.

    Args:
        folder: for its data, and for what it saves.
        exporter: makes what writes exports; none: a `Recorder`.
        rules: of the table.
        options: of the runner.
    """

    def __init__(
        self,
        folder: Path,
        exporter: Optional[Callable[[JobModel], PassExporter]] = None,
        rules: Optional[Dict[str, Any]] = None,
        **options: Any,
    ) -> None:
        self.save, self._options = folder / "save", options
        self.data = write_days(folder / "data", schedule_of(runner_of(self.save, **options)))
        self.notes: List[Note] = []
        self.begins: Callable[[], None] = lambda: None
        self._exporter = exporter or (lambda job: Recorder(job, self.notes, lambda: self.begins()))
        model = model_of(dataset_of(self.data), rules)
        self.passes = passes_of(self.save, self.data, model=model, exporter=self._exporter, **options)
        new = self.passes.job.state.checkpoint({})
        groups = {group: {name: array.copy() for name, array in part.items()} for group, part in new.groups.items()}
        self._new = Checkpoint(groups, new.meta)

    def begin(self, left: Optional[Path] = None, dataset: Optional[Dict[str, Any]] = None, **options: Any) -> PassModel:
        """As a new process that finds what another one `left`."""
        shutil.rmtree(self.save, ignore_errors=True)
        if left is not None:
            shutil.copytree(left, self.save)
        self.notes.clear()
        passes, runner = self.passes, runner_of(self.save, **{**self._options, **options})
        passes.runner, passes.schedule = runner, schedule_of(runner)
        passes.dataset = dataset_of(self.data, **(dataset or {}))
        passes.job.state.restore(self._new)
        passes.done = passes._loaded = None
        passes.saver = PassSaver(self.save, passes.job.state, self._exporter(passes.job), passes.schedule)
        return passes
