"""The events that TensorBoard gets of a trainer, read from their files."""

import struct
import sys

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.monitor.tensorboard import AXES, TensorBoardScalars, tag
from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES, TrainerFigures
from tests.monitor.trainer_examples import all_figures

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def events(path):
    """The events of a file: records of length, its checksum, data and their checksum."""
    content, begin = path.read_bytes(), 0
    while begin < len(content):
        (length,) = struct.unpack_from("<Q", content, begin)
        yield event_pb2.Event.FromString(content[begin + 12 : begin + 12 + length])
        begin += 12 + length + 4


def scalars(path):
    """(step, tag): value of a file."""
    return {(event.step, value.tag): value.simple_value for event in events(path) for value in event.summary.value}


def start(folder, rows=0):
    opened = TensorBoardScalars(folder, now=lambda: 1_700_000_000.0)
    opened.begin(rows)
    return opened


def test_all_figures_are_scalars_over_the_rows(tmp_path):
    figures = all_figures(rows=4096)
    opened = start(tmp_path / "new" / "folder")
    opened.report(figures)
    (file,) = (tmp_path / "new" / "folder").iterdir()
    expected = {tag(figure): figures.values[figure.name] for figure in FIGURES if figure.name not in AXES}
    for table, values in figures.tables.items():
        expected.update({tag(figure, table): values[figure.name] for figure in TABLE_FIGURES})
    assert len(expected) == len(FIGURES) - len(AXES) + 2 * len(TABLE_FIGURES)  # no two have one tag
    assert scalars(file) == {(4096, name): value for name, value in expected.items()}
    assert {event.wall_time for event in events(file) if event.summary.value} == {1_700_000_000.0}


def test_what_is_not_known_is_absent(tmp_path):
    opened = start(tmp_path)
    opened.report(TrainerFigures(10, -1, {"rows": 10.0, "loss": 0.5}))
    opened.close()
    opened.report(all_figures())  # after the end
    assert scalars(next(tmp_path.iterdir())) == {(10, "model/loss"): 0.5}


def test_a_run_that_goes_on_replaces_what_is_trained_again(tmp_path):
    for rows in (0, 500):
        opened = start(tmp_path, rows)
        for more in (500, 1000):
            opened.report(TrainerFigures(rows + more, -1, {"loss": 0.5}))
        opened.close()
        opened.close()
    first, second = sorted(tmp_path.iterdir(), key=lambda path: min(step for step, _ in scalars(path)))
    starts = [event for event in events(second) if event.HasField("session_log")]
    assert [(event.step, event.session_log.status) for event in starts] == [(501, event_pb2.SessionLog.START)]
    assert [step for step, _ in scalars(first)] == [500, 1000]  # TensorBoard shows the one at 500, not that at 1000
    assert [step for step, _ in scalars(second)] == [1000, 1500]


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError) as error:
        TensorBoardScalars(tmp_path)
    assert str(error.value).startswith(f"tensorboard_path = '{tmp_path}': expected null where tensorboardX is not")
    assert str(error.value).endswith("pip install 'mindspore-rec-online[tensorboard]'")
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"^tensorboard_path = .*expected a folder that can be written: "):
        TensorBoardScalars(tmp_path / "file" / "folder")


def test_a_file_that_cannot_be_written_does_not_stop_training(tmp_path, caplog):
    opened = TensorBoardScalars(tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").write_text("in the way")
    opened.begin(0)
    opened.report(all_figures())
    opened.close()
    assert caplog.text.count("no more scalars for TensorBoard") == 1
