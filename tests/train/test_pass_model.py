"""A model with its days and passes: what is read when and how often, whose clock it has, what it refuses."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_reader import PartReader, ReadRows
from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.stream import raw_lines
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.stream.ready_parts import Part
from mindspore_rec.train.guard import TrainingDivergedError
from mindspore_rec.train.loaded_part import LoadedPart
from mindspore_rec.train.pass_loop import train_passes
from mindspore_rec.train.pass_model import seconds_of
from mindspore_rec.train.place import ALONE, Place
from tests.train.small_passes import (
    FIRST,
    PRICED,
    ROWS,
    SAID,
    SECOND,
    Trainer,
    assert_same_state,
    digest_of,
    passes_of,
    prices,
    prices_model,
    runner_of,
    schedule_of,
    state_of,
    write_days,
    write_split,
)

DAY_SECONDS = 86_400
BEGIN = 18_097 * DAY_SECONDS  # of FIRST, since 1970


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return Trainer(tmp_path_factory.mktemp("model"), end_day=FIRST)


def test_the_clock_of_a_pass_is_the_time_it_begins(trainer: Trainer) -> None:
    passes = trainer.begin()
    train_passes(passes)
    timeline = passes.job.tables[0].state()["timeline"][:-1, 1] - BEGIN  # the end of a second is noted too
    assert sorted({seconds for seconds in timeline.tolist() if seconds % 3600 != 1}) == [0, 21_600, 43_200, 64_800]
    assert seconds_of(passes.schedule, PassKey(SECOND, 2)) == BEGIN + DAY_SECONDS + 6 * 3600
    assert passes.job.rec_model.progress.event_time == -1, "no row said a time"


@dataclass(frozen=True)
class Watched(LoadedPart):
    """Notes the first draw of its shuffle; has no rows."""

    draws: Tuple[List[int], ...] = ([],)

    def shuffled(self, reader: PartReader, rng: np.random.Generator) -> Iterator[ReadRows]:
        self.draws[0].append(int(rng.integers(2**60)))
        return iter(())


class SecondRank(Alone):
    """Of two that do and say the same."""

    rank, size = 1, 2

    def sum(self, array: np.ndarray) -> np.ndarray:
        return array + array

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        return [array, array]


def test_the_order_of_a_pass_is_a_function_of_seed_day_pass_and_rank(tmp_path: Path) -> None:
    draws: List[int] = []

    def draw(key: PassKey, seed: int = 0, place: Place = ALONE) -> int:
        passes = passes_of(tmp_path / "save", tmp_path, settings={"seed": seed}, place=place)
        passes.train_part(Watched(Part(key, ()), [], draws=(draws,)))
        return draws[-1]

    first = PassKey(FIRST, 1)
    found = [draw(key) for key in (first, PassKey(FIRST, 2), PassKey(SECOND, 1))]
    found += [draw(first, seed=1), draw(first, place=Place(SecondRank()))]
    assert len(set(found)) == 5
    assert draw(first) == found[0]


def dead_letters(save: Path) -> List[Tuple[str, int, str, str]]:
    file = save / "dead_letters-0.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(Path(row["topic"]).name, row["row"], row["reason"], row["raw"]) for row in found]


@pytest.mark.parametrize(("kind", "prefetch"), [("InmemoryDataset", True), ("QueueDataset", False)])
def test_bad_rows_are_kept_once_and_counted(tmp_path: Path, kind: str, prefetch: bool) -> None:
    """A pass is read twice from a queue: to be predicted and to be trained."""
    data = write_days(tmp_path / "data", schedule_of(runner_of(tmp_path, end_day=FIRST, split_interval=720)))
    bad = [("part-0", 1, "label", "2:1 7:2"), ("part-1", 0, "label", "9:2"), ("part-1", ROWS + 1, "number", "1:1 x:2")]
    for name, row, _, raw in bad:
        file = data / FIRST / "1200" / name
        rows = file.read_text().splitlines()
        file.write_text("".join(f"{line}\n" for line in [*rows[:row], raw, *rows[row:]]))
    passes = passes_of(
        tmp_path / "save", data, dataset={"type": kind}, end_day=FIRST, split_interval=720, prefetch=prefetch
    )
    trained = train_passes(passes)
    assert [(one.infer.rows, one.train.rows) for one in trained] == [(2 * ROWS, 2 * ROWS)] * 2
    progress = passes.job.rec_model.progress
    assert (progress.rows_rejected, progress.rows_trained) == (3, 4 * ROWS)
    assert [letter[:2] for letter in dead_letters(tmp_path / "save")] == [row[:2] for row in bad]
    assert [letter[3] for letter in dead_letters(tmp_path / "save")] == [row[3] for row in bad]


def test_rows_of_fields(tmp_path: Path) -> None:
    """Raw Criteo lines: each field is a slot with one id and its weight, and every id is one."""
    rng = np.random.default_rng(0)
    for name in ("0000", "1200"):
        split = tmp_path / "data" / FIRST / name
        split.mkdir(parents=True)
        rows = [[k % 2, *rng.integers(0, 9, 13), *(f"{id:08x}" for id in rng.integers(0, 5, 26))] for k in range(40)]
        text = "".join("\t".join(str(value) for value in row) + "\n" for row in rows)
        (split / "part-0").write_text(f"{text}not a row\n")
    options = {"data_format": "raw_tsv", "sparse_slots": ""}
    passes = passes_of(
        tmp_path / "save", tmp_path / "data", dataset=options, end_day=FIRST, split_interval=720, gauc_slot="C1"
    )
    trained = train_passes(passes)
    assert [(one.infer.rows, one.train.rows) for one in trained] == [(40, 40)] * 2
    assert passes.job.rec_model.progress.rows_rejected == 2
    assert passes.job.model.padding_id is None
    ids = {int(id) for id in passes.job.tables[0].state()["ids"]}
    assert 26 < len(ids) <= 13 + 26 * 5, "one a number, some a category"


def test_a_pass_by_hand_is_loaded_once(trainer: Trainer) -> None:
    """Predicted and trained, as a notebook does, it is what the loop does."""
    passes = trainer.begin()
    train_passes(passes)
    wanted = state_of(passes.job)
    passes = trainer.begin()
    passes.restore()
    for part in [loaded.part for loaded in passes.parts()]:
        assert passes.load(part) is passes.load(part)
        passes.predict_part(part)
        passes.train_part(part)
        passes.save(part)
    assert_same_state(state_of(passes.job), wanted)


class StopAfter:
    """Set after so many questions."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, timeout: float) -> bool:
        return self.is_set()


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_pass_whose_loading_was_stopped_is_not_given(
    trainer: Trainer, prefetch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 256)
    passes, stop = trainer.begin(prefetch=prefetch), StopAfter(10**6)
    parts = [loaded.part for loaded in passes.parts(stop)]
    questions = 10**6 - stop.left
    assert len(parts) == 4 and questions > 24, "one a chunk"
    given = []
    for count in range(0, questions, 3):
        passes = trainer.begin(prefetch=prefetch)
        found = list(passes.parts(StopAfter(count)))
        assert all(part.row_count == 2 * ROWS for part in found)
        for part in parts[len(found) : len(found) + 1]:
            assert passes.load(part).row_count == 2 * ROWS, "what was not whole is not kept"
        given.append(len(found))
    assert given == sorted(given) and {0, 1, 2, 3} <= set(given)


def test_only_passes_that_are_left_are_given(trainer: Trainer) -> None:
    passes = trainer.begin()
    train_passes(passes)
    assert passes.done == PassKey(SECOND, 0)
    assert list(passes.parts()) == []
    passes.done = PassKey(FIRST, 3)
    assert [part.key.number for part in passes.parts()] == [4]


def test_a_run_may_begin_with_a_saved_model(trainer: Trainer, tmp_path: Path) -> None:
    train_passes(trainer.begin())
    saved = trainer.save / SECOND / "0"
    again = passes_of(tmp_path / "save", trainer.data, init_model_path=str(saved), save_first_base=True, end_day=FIRST)
    assert again.restore() is None
    assert digest_of(again.job) == (saved / SAID).read_text()
    again.catch_up()
    assert (tmp_path / "save" / FIRST / "base" / SAID).read_text() == digest_of(again.job)
    assert [part.key.number for part in again.parts()] == [1, 2, 3, 4]
    assert again.job.rec_model.progress.rows_trained == 8 * ROWS, "it counts on"


def test_a_day_that_was_trained_before_the_schedule_is_ended_first(trainer: Trainer, tmp_path: Path) -> None:
    """The last run ended between the checkpoint of the last pass and the end of the day."""
    write_days(tmp_path, schedule_of(runner_of(tmp_path, start_day=SECOND)))
    passes = trainer.begin()
    for part in passes.parts():
        passes.train_part(part)
    passes.saver.checkpoint(PassKey(FIRST, 4))
    left = trainer.save.rename(trainer.save.with_name("left"))
    passes = trainer.begin(left, {"data_path": str(tmp_path)}, start_day=SECOND, end_day=SECOND)
    assert [one.key for one in train_passes(passes)] == list(schedule_of(passes.runner).passes())
    assert [note.folder for note in trainer.notes][:3] == [f"{SECOND}/base", f"{SECOND}/0", f"{SECOND}/delta-1"]


def test_too_many_bad_batches_name_the_last_checkpoint(tmp_path: Path) -> None:
    for name in ("0000", "0600", "1200", "1800"):
        split = tmp_path / "data" / FIRST / name
        split.mkdir(parents=True)
        (split / "part-0").write_text(prices(*["3e38" if name == "1800" else "1"] * 12))
    model = prices_model(tmp_path)
    passes = passes_of(
        tmp_path / "save", tmp_path / "data", model=model, dataset={**PRICED, "batch_size": 1}, end_day=FIRST
    )
    with pytest.raises(TrainingDivergedError) as found:
        train_passes(passes)
    assert str(found.value).endswith(f"last good checkpoint: {tmp_path}/save/{FIRST}/2")
    skipped = (tmp_path / "save" / "skipped_batches-0.jsonl").read_text().splitlines()
    assert len(skipped) == 10 and json.loads(skipped[0])["rows"] == 1
    assert not (tmp_path / "save" / FIRST / "4").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"start_day": SECOND, "end_day": FIRST},
            f"end_day = '{FIRST}': expected start_day, {SECOND}, or a day after it",
        ),
        ({"start_day": "20190231"}, "start_day = '20190231': expected a day such as 20190720"),
        ({"split_interval": 7}, "split_interval = 7: expected minutes that divide a day"),
        (
            {"split_interval": 60, "split_per_pass": 5},
            "split_per_pass = 5: expected a number that divides the 24",
        ),
        ({"gauc_slot": "9"}, "gauc_slot = '9': expected one of the sparse_slots"),
        (
            {"model_save_path": "hdfs://host/model"},
            "model_save_path = 'hdfs://host/model': expected a folder",
        ),
    ],
)
def test_what_cannot_be_trained_is_an_error_before_any_work(tmp_path: Path, options: Dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as found:
        passes_of(tmp_path / "save", tmp_path, **options)
    assert told in str(found.value) and "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_passes_of_another_length_are_an_error_before_any_work(trainer: Trainer) -> None:
    passes = trainer.begin()
    train_passes(passes)
    for number in (0, 4):
        (trainer.save / "donefile.txt").write_text(f"{FIRST}\t1\t{trainer.save}/{FIRST}/4/\t4\t0\n")
        left = trainer.save.rename(trainer.save.with_name(f"left-{number}"))
        passes = trainer.begin(
            left, split_interval=720, save_policy="hourly" if number else "frequency", data_donefile="x"
        )
        with pytest.raises(ConfigError, match=f"a day has the passes 1 to 2, but {FIRST} is trained to pass 4"):
            train_passes(passes)
        assert trainer.notes == []


def test_prediction_tells_no_metrics_of_a_part_of_the_rows(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mindspore_rec")
    passes = trainer.begin(infer_batch_size=8)
    part = next(passes.parts())
    rows: List[int] = []
    assert passes.predict_part(part, rows.append, lambda: len(rows) == 2).summary().rows == 16
    assert "Infer Global Metric" not in caplog.text
    assert passes.predict_part(part).summary().rows == 2 * ROWS
    assert f"Day:{FIRST}, Pass: 1, Infer Global Metric: AUC=" in caplog.text


def test_waiting_for_a_donefile_is_said(trainer: Trainer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mindspore_rec")
    write_split(tmp_path, f"{FIRST}/0000")
    passes = trainer.begin(None, {"data_path": str(tmp_path)}, data_donefile="ok")

    class OnceAround:
        """Ends the first wait with the donefile there."""

        def is_set(self) -> bool:
            return False

        def wait(self, timeout: float) -> bool:
            (tmp_path / FIRST / "0000" / "ok").touch()
            return False

    part = next(passes.parts(OnceAround()))
    assert f"wait for data ready: {tmp_path}/{FIRST}/0000/ok" in caplog.text
    assert [Path(file.path).name for file in part.files] == ["part-0", "part-1"], "the donefile has no rows"
