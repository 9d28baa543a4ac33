"""Days trained pass by pass: what happens in which order, and that a run goes on after any end as if there was none."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import fsspec
import numpy as np
import pytest

from mindspore_rec.checkpoint.donefiles import bases, checkpoints, patches
from mindspore_rec.checkpoint.pass_layout import checkpoint_folder
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.loaded_part import LoadedPart
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_loop import NoReports, train_passes
from mindspore_rec.train.pass_model import PassModel
from tests.train.small_passes import (
    FIRST,
    ROWS,
    SAID,
    SECOND,
    THIRD,
    Note,
    Trainer,
    assert_same_state,
    passes_of,
    runner_of,
    schedule_of,
    state_of,
    write_days,
    write_split,
)

DEADLINE = 30.0
DAY = [f"{stage} {number}" for number in (1, 2, 3, 4) for stage in ("Infer", "Train")]


class Left(NamedTuple):
    """What a run left: outputs by name and what they say, and the donefiles, keys replaced by the base they name."""

    outputs: Dict[str, str]
    checkpoints: Dict[PassKey, str]
    patches: Dict[str, str]
    bases: List[str]


def left_in(save: Path) -> Left:
    """Of `save`; each checkpoint of its donefile is whole."""
    base_of = {saved.key: saved.input for saved in bases(save)}
    for saved in checkpoints(save):
        assert saved.path == f"{save / checkpoint_folder(saved.at)}/"
        read_saved(Path(saved.path))
    return Left(
        {str(path.relative_to(save)): (path / SAID).read_text() for path in save.glob("*/*")},
        {saved.at: base_of[saved.key] for saved in checkpoints(save)},
        {saved.input: base_of[saved.key] for saved in patches(save)},
        [saved.input for saved in bases(save)],
    )


class Uninterrupted(NamedTuple):
    """Two days, and what was on the disk at each export of them."""

    trainer: Trainer
    notes: List[Note]
    state: Dict[str, np.ndarray]
    left: Left
    on_disk: List[Path]
    log: List[str]


class Logged(logging.Handler):
    """The lines of the package's log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    folder = tmp_path_factory.mktemp("whole")
    trainer = Trainer(folder, save_first_base=True)
    on_disk: List[Path] = []

    def keep() -> None:
        on_disk.append(folder / f"at-{len(on_disk)}")
        shutil.copytree(trainer.save, on_disk[-1])

    trainer.begins = keep
    logged, logger = Logged(), logging.getLogger("mindspore_rec")
    level = logger.level
    logger.addHandler(logged)
    logger.setLevel(logging.INFO)
    trained = train_passes(trainer.begin())
    logger.removeHandler(logged)
    logger.setLevel(level)
    trainer.begins = lambda: None
    assert [one.key for one in trained] == list(trainer.passes.schedule.passes())
    return Uninterrupted(
        trainer, [*trainer.notes], state_of(trainer.passes.job), left_in(trainer.save), on_disk, logged.lines
    )


def test_predict_then_train_then_save(whole: Uninterrupted) -> None:
    """Lines that people search for, in the order of things."""
    known = {
        "Infer Global Metric": "Infer",
        "Train Global Metric": "Train",
        "finished save checkpoint model": "checkpoint",
        "finished save delta model": "delta",
        "shrink table done": "shrink",
        "finished save base model": "base",
    }
    said = [(what, line) for line in whole.log for words, what in known.items() if words in line]
    assert [what for what, _ in said] == ["base"] + 2 * (
        2 * ["Infer", "Train", "delta", "Infer", "Train", "checkpoint", "delta"] + ["shrink", "base", "checkpoint"]
    )
    assert said[1][1].startswith(f"Day:{FIRST}, Pass: 1, Infer Global Metric: AUC=")
    assert said[1][1].endswith(f"Ins number={2 * ROWS}")
    assert said[-1][1].startswith(f"finished save checkpoint model epoch 0 day {THIRD}, cost ")
    assert said[-2][1].startswith(f"finished save base model day {THIRD}, cost ")


def test_what_is_exported_when(whole: Uninterrupted) -> None:
    def day(name: str, following: str, number: int) -> List[Any]:
        return [
            ("delta", f"{name}/delta-1", number),
            ("text", f"{name}/2", number),
            ("inference", f"{name}/inference_model_2", number),
            ("delta", f"{name}/delta-2", number),
            ("delta", f"{name}/delta-3", number),
            ("text", f"{name}/4", number),
            ("inference", f"{name}/inference_model_4", number),
            ("delta", f"{name}/delta-4", number),
            ("base", f"{following}/base", number),  # of a day the rows are not older by
            ("text", f"{following}/0", number + 1),
        ]

    first = ("base", f"{FIRST}/base", 0)
    assert [note[:3] for note in whole.notes] == [first, *day(FIRST, SECOND, 0), *day(SECOND, THIRD, 1)]
    rows = {note.folder: note.rows for note in whole.notes}
    assert rows[f"{FIRST}/base"] == 0 < rows[f"{FIRST}/delta-1"]
    assert rows[f"{SECOND}/base"] == rows[f"{SECOND}/0"] < rows[f"{FIRST}/delta-4"], "shrink comes before the base"


def test_checkpoints_hold_what_was_said_of_them(whole: Uninterrupted) -> None:
    """Only the one after the end of a day has older rows, and fewer."""
    states = {at: read_saved(Path(saved.path)).groups for saved in checkpoints(whole.trainer.save) for at in [saved.at]}
    tables = {at: groups["table-embedding_w"] for at, groups in states.items()}
    days = {at: int(table["timeline"][-1, 2]) for at, table in tables.items()}
    assert days == {
        PassKey(FIRST, 2): 0,
        PassKey(FIRST, 4): 0,
        PassKey(SECOND, 0): 1,
        PassKey(SECOND, 2): 1,
        PassKey(SECOND, 4): 1,
        PassKey(THIRD, 0): 2,
    }
    before, after = tables[PassKey(FIRST, 4)], tables[PassKey(SECOND, 0)]
    shown = dict(zip(before["ids"].tolist(), before["show"].tolist()))
    assert 0 < after["ids"].size < before["ids"].size and 0 not in shown
    for id, show in zip(after["ids"].tolist(), after["show"].tolist()):
        assert show == np.float32(shown[id]) * np.float32(0.9)


def test_rows_unseen_for_long_go_at_the_end_of_a_day(whole: Uninterrupted) -> None:
    """delete_after_unseen_days is 0: what the second day did not show is gone after it."""
    seen = {
        int(token.split(":")[0])
        for file in (whole.trainer.data / SECOND).glob("*/part-*")
        for line in file.read_text().splitlines()
        for token in line.split()[1:]
    }
    table = whole.trainer.passes.job.tables[0].state()
    assert {id % 2**64 for id in table["ids"].tolist()} < seen
    kept = read_saved(whole.trainer.save / SECOND / "0").groups["table-embedding_w"]["ids"]
    assert not {id % 2**64 for id in kept.tolist()} <= seen, "some of the first day's were there"


def test_a_run_goes_on_from_wherever_it_ended(whole: Uninterrupted) -> None:
    """What was on the disk when an export began is what a run leaves that ends there, by an error or a kill."""
    assert len(whole.on_disk) == 21
    first_day = 10
    train_passes(whole.trainer.begin(end_day=FIRST))
    state, left = state_of(whole.trainer.passes.job), left_in(whole.trainer.save)
    for k, at in enumerate(whole.on_disk):
        passes = whole.trainer.begin(at, end_day=FIRST if k < first_day else SECOND)
        train_passes(passes)
        assert_same_state(state_of(passes.job), state if k < first_day else whole.state)
        assert left_in(whole.trainer.save) == (left if k < first_day else whole.left), at
        assert passes.done == PassKey(SECOND if k < first_day else THIRD, 0)


def test_a_day_that_is_trained_needs_nothing_more(whole: Uninterrupted) -> None:
    passes = whole.trainer.begin(whole.on_disk[-1])
    train_passes(passes)
    files = {
        path: path.read_bytes() for path in whole.trainer.save.glob("**/*") if path.is_file() and path.name != ".lock"
    }
    shutil.rmtree(whole.trainer.save.parent / "again", ignore_errors=True)
    left = shutil.copytree(whole.trainer.save, whole.trainer.save.parent / "again")
    assert train_passes(whole.trainer.begin(left)) == []
    assert whole.trainer.notes == []
    assert {path: path.read_bytes() for path in files} == files


def test_an_export_that_fails_ends_the_run_and_the_next_one_goes_on(whole: Uninterrupted, tmp_path: Path) -> None:
    """In new objects."""
    left = [7]

    def fail() -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError("no space")

    options = {"save_first_base": True, "begins": fail, "end_day": FIRST}
    with pytest.raises(UserError, match=rf"{FIRST}/4: cannot be written: no space"):
        train_passes(passes_of(tmp_path / "save", whole.trainer.data, **options))
    assert list((tmp_path / "save").glob("*/.writing-*"))
    passes = passes_of(tmp_path / "save", whole.trainer.data, **options)
    train_passes(passes)
    assert_same_state(state_of(passes.job), trained_state(whole.trainer, end_day=FIRST))
    assert left_in(tmp_path / "save").outputs == left_in(whole.trainer.save).outputs


class Reports(NoReports):
    """What a run tells; `at` is called at each."""

    def __init__(self, at: Callable[[str], None] = lambda what: None) -> None:
        self.told: List[str] = []
        self.rows: List[int] = []
        self._at = at

    def begin_stage(self, key: PassKey, stage: str, rows: Optional[int]) -> None:
        self.rows.append(0)
        self._tell(f"{stage} {key.number}")

    def advance(self, rows: int) -> None:
        self.rows[-1] += rows
        self._at("advance")

    def end_stage(self, key: PassKey, stage: str, metrics: PartMetrics) -> None:
        assert metrics.summary().rows == self.rows[-1]
        self._tell(f"{stage} {key.number} done")

    def end_day(self, day: str) -> None:
        self._tell(f"end of {day}")

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self._at(what)


def test_one_pass_is_in_memory_at_a_time(whole: Uninterrupted, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = whole.trainer.begin(end_day=FIRST)
    load, loaded, alive = passes.load, [], []

    def watched(part: Any, *stopped: Any) -> Any:
        if not isinstance(part, LoadedPart):
            alive.append([one() is not None for one in loaded])
        found = load(part, *stopped)
        if not isinstance(part, LoadedPart):
            loaded.append(weakref.ref(found))
        return found

    monkeypatch.setattr(passes, "load", watched)
    train_passes(passes)
    assert alive == [[False] * k for k in range(4)]


def test_reports(whole: Uninterrupted) -> None:
    reports = Reports()
    trained = train_passes(whole.trainer.begin(end_day=FIRST), reports)
    stages = [told for stage in DAY for told in (stage, f"{stage} done")]
    assert [told for told in reports.told if not told.startswith("end")] == stages
    assert reports.told[-1] == f"end of {FIRST}" and reports.rows == [2 * ROWS] * 8
    assert [(one.infer.rows, one.train.rows) for one in trained] == [(2 * ROWS, 2 * ROWS)] * 4


def stop_at(what: str, caplog: pytest.LogCaptureFixture) -> Callable[[str], None]:
    """Sends this process SIGTERM at a report, once, and waits until it was heard."""
    caplog.set_level(logging.INFO, "mindspore_rec")
    left = [what]

    def told(now: str) -> None:
        if left and now == left[0]:
            del left[0]
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + DEADLINE
            while "stopping: finishing the step" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.001)

    return told


@pytest.mark.parametrize("what", ["Infer 3", "Infer 3 done", "Train 3", "Train 3 done"])
def test_a_signal_ends_it_and_nothing_half_trained_is_saved(
    whole: Uninterrupted, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    reports = Reports(stop_at(what, caplog))
    trained = train_passes(whole.trainer.begin(), reports)
    done = 3 if what == "Train 3 done" else 2
    assert [one.key.number for one in trained] == list(range(1, done + 1))
    assert whole.trainer.notes[-1].folder == f"{FIRST}/delta-{done}"
    after = reports.told[reports.told.index(what) + 1 :]
    assert not [told for told in after if told.endswith("done")], "metrics of half a pass"
    metric_lines = [record.getMessage() for record in caplog.records if "Global Metric" in record.getMessage()]
    assert len(metric_lines) == 2 * done + (what in ("Infer 3 done", "Train 3"))
    left = shutil.copytree(whole.trainer.save, whole.trainer.save.parent / f"left-{what.replace(' ', '-')}")
    passes = whole.trainer.begin(left)
    train_passes(passes)
    assert_same_state(state_of(passes.job), whole.state)
    assert left_in(whole.trainer.save) == whole.left


def test_a_signal_while_it_trains(whole: Uninterrupted, caplog: pytest.LogCaptureFixture) -> None:
    """The step that runs is finished; its pass counts as not trained."""
    advanced = []

    def at(what: str) -> None:
        advanced.append(what)
        stop("second step" if advanced[-3:] == ["Train 2", "advance", "advance"] else what)

    stop, reports = stop_at("second step", caplog), Reports(at)
    trained = train_passes(whole.trainer.begin(), reports)
    assert [one.key.number for one in trained] == [1]
    assert reports.told[-1] == "Train 2" and reports.rows[-1] == 32
    assert whole.trainer.notes[-1].folder == f"{FIRST}/delta-1"
    assert "stopped in pass 2 of day 20190720, which the next start trains again" in caplog.text


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_signal_while_it_waits_for_data(
    whole: Uninterrupted, tmp_path: Path, prefetch: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mindspore_rec")
    write_split(tmp_path, f"{FIRST}/0000", "done")

    def stop_waiting() -> None:
        deadline = time.monotonic() + DEADLINE
        waits = f"wait for data ready: {tmp_path}/{FIRST}/0600/done"
        while caplog.text.partition("Pass: 1, Train Global Metric")[2].count(waits) < 2:
            if time.monotonic() > deadline:
                return
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    passes = whole.trainer.begin(
        None, {"data_path": str(tmp_path)}, data_donefile="done", prefetch=prefetch, save_delta_frequency=4
    )
    stopping = threading.Thread(target=stop_waiting)
    stopping.start()
    assert [one.key.number for one in train_passes(passes)] == [1]
    stopping.join()
    assert "stopping: finishing the step" in caplog.text


def trained_state(trainer: Trainer, dataset: Optional[Dict[str, Any]] = None, **options: Any) -> Dict[str, np.ndarray]:
    passes = trainer.begin(None, dataset, **options)
    train_passes(passes)
    return state_of(passes.job)


def test_prefetch_does_not_show_in_the_model(whole: Uninterrupted) -> None:
    assert_same_state(trained_state(whole.trainer, prefetch=True), whole.state)
    assert left_in(whole.trainer.save) == whole.left


def test_prefetch_with_a_donefile(whole: Uninterrupted, tmp_path: Path) -> None:
    """Splits come while passes are trained; nothing is looked for past the last day."""
    schedule = schedule_of(runner_of(tmp_path, end_day=FIRST))
    names = [name for key in schedule.passes() for name in schedule.folders(key)]
    write_split(tmp_path, names[0], "done")
    reports = Reports(lambda what: write_split(tmp_path, names[int(what[6])], "done") if what in DAY[1:-1:2] else None)
    options = {"data_donefile": "done", "prefetch": True, "end_day": FIRST}
    found = trained_state_of(whole.trainer.begin(None, {"data_path": str(tmp_path)}, **options), reports)
    assert reports.told[-1] == f"end of {FIRST}"
    assert_same_state(found, trained_state(whole.trainer, end_day=FIRST))


def trained_state_of(passes: PassModel, reports: Reports) -> Dict[str, np.ndarray]:
    train_passes(passes, reports)
    return state_of(passes.job)


def test_only_the_order_of_rows_differs_between_the_kinds_of_data_sets(whole: Uninterrupted) -> None:
    in_order = [trained_state(whole.trainer, {"type": kind}, end_day=FIRST) for kind in ("QueueDataset", "DataLoader")]
    assert_same_state(in_order[1], in_order[0])
    shuffled = trained_state(whole.trainer, end_day=FIRST)
    name = "dense/mlp.layers.0.weight"
    assert in_order[0][name].tobytes() != shuffled[name].tobytes()
    for name in ("ids", "show", "click"):  # as many rows, whatever their order
        np.testing.assert_array_equal(in_order[0][f"table-embedding_w/{name}"], shuffled[f"table-embedding_w/{name}"])


def test_data_on_any_filesystem(whole: Uninterrupted) -> None:
    memory = fsspec.filesystem("memory")
    for file in whole.trainer.data.glob("*/*/part-*"):
        memory.pipe(f"/days/{file.relative_to(whole.trainer.data)}", file.read_bytes())
    try:
        assert_same_state(trained_state(whole.trainer, {"data_path": "memory://days"}), whole.state)
    finally:
        memory.rm("/days", recursive=True)


def test_the_hourly_policy(whole: Uninterrupted, tmp_path: Path) -> None:
    """In a day of four passes the first one saves a checkpoint, the others deltas."""
    passes = whole.trainer.begin(save_policy="hourly", end_day=FIRST, save_first_base=False)
    train_passes(passes)
    assert [(note.what, note.folder) for note in whole.trainer.notes] == [
        ("text", f"{FIRST}/1"),
        ("inference", f"{FIRST}/inference_model_1"),
        ("delta", f"{FIRST}/delta-2"),
        ("delta", f"{FIRST}/delta-3"),
        ("delta", f"{FIRST}/delta-4"),
        ("base", f"{SECOND}/base"),
        ("text", f"{SECOND}/0"),
    ]


def test_passes_without_rows(whole: Uninterrupted, tmp_path: Path) -> None:
    """Also the very first one."""
    data = write_days(tmp_path / "data", schedule_of(runner_of(tmp_path, end_day=FIRST)))
    for name in ("0000", "1200"):
        for file in (data / FIRST / name).iterdir():
            file.unlink()
    trained = train_passes(whole.trainer.begin(None, {"data_path": str(data)}, end_day=FIRST))
    assert [one.train.rows for one in trained] == [0, 2 * ROWS, 0, 2 * ROWS]
    assert len(checkpoints(whole.trainer.save)) == 3


def nothing_done(save: Path, notes: List[Note]) -> bool:
    return not notes and not [path for path in save.glob("*") if not path.name.startswith(".")]


def test_missing_data_are_an_error_before_any_work(tmp_path: Path) -> None:
    data, notes = write_days(tmp_path / "data", schedule_of(runner_of(tmp_path))), []
    shutil.rmtree(data / SECOND / "1200")
    passes = passes_of(tmp_path / "save", data, notes, save_first_base=True)
    with pytest.raises(UserError, match=f"the split folder '{data}/{SECOND}/1200' is not there"):
        train_passes(passes)
    assert nothing_done(tmp_path / "save", notes)
    with pytest.raises(ConfigError, match=r"train_data_dir = '.*none': expected a folder that is there"):
        train_passes(passes_of(tmp_path / "save", tmp_path / "none", notes, save_first_base=True))
    assert nothing_done(tmp_path / "save", notes)
    with pytest.raises(ConfigError, match="train_data_dir"):
        train_passes(passes_of(tmp_path / "save", tmp_path / "none", notes, data_donefile="done", prefetch=True))
    assert nothing_done(tmp_path / "save", notes)


def test_two_runs_do_not_save_into_one_folder(whole: Uninterrupted) -> None:
    passes = whole.trainer.begin(whole.on_disk[5])
    before = sorted(whole.trainer.save.glob("**/*"))
    held = CheckpointStore(whole.trainer.save).held()
    with held, pytest.raises(UserError, match=r"model_save_path = .* is in use by process"):
        train_passes(passes)
    assert sorted(whole.trainer.save.glob("**/*")) == before
    assert train_passes(passes), "once the other has ended"


def test_a_damaged_file_ends_it_in_one_line(whole: Uninterrupted, tmp_path: Path) -> None:
    data = write_days(tmp_path, schedule_of(runner_of(tmp_path, end_day=FIRST)))
    (data / FIRST / "0600" / "part-1").write_bytes(b"\x1f\x8b\x08\0" + bytes(20))
    for kind in ("InmemoryDataset", "QueueDataset"):
        for prefetch in (False, True):
            passes = whole.trainer.begin(None, {"data_path": str(data), "type": kind}, end_day=FIRST, prefetch=prefetch)
            with pytest.raises(UserError, match="0600/part-1 is damaged or cut off: ") as found:
                train_passes(passes)
            assert "\n" not in str(found.value)
            assert whole.trainer.notes[-1].folder == f"{FIRST}/delta-1", "the pass before was trained and saved"
