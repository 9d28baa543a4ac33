"""Log lines, and a MindSpore that does not write between them."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from typing import Iterator

import pytest

from mindspore_rec.logs import CHATTY_LIBRARIES, quiet_mindspore, setup_logging

TRAINING = """
import sys
if "quiet" in sys.argv:
    from mindspore_rec.logs import quiet_mindspore
    quiet_mindspore()
    assert "mindspore" not in sys.modules
import numpy as np
import mindspore
from mindspore import nn

def rows():
    for _ in range(2):
        yield np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)

mindspore.set_context(mode=mindspore.GRAPH_MODE)
net = nn.Dense(3, 1)
data = mindspore.dataset.GeneratorDataset(rows, ["x", "y"], shuffle=False)
model = mindspore.Model(net, nn.MSELoss(), nn.Adam(net.trainable_params()))
model.train(1, data, dataset_sink_mode=True)
print("trained")
"""


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY_LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def test_one_short_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    setup_logging("INFO")  # twice must not double the lines
    logging.getLogger("mindspore_rec.test").info("rows %d", 5)
    logging.getLogger("mindspore_rec.test").debug("not this")
    logging.getLogger("kafka.conn").info("nor this")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d I rows 5\n", shown.err)


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("DEBUG")
    logging.getLogger("mindspore_rec.test").debug("this")
    setup_logging(logging.ERROR)
    logging.getLogger("mindspore_rec.test").warning("not this")
    logging.getLogger("kafka.conn").warning("nor this")
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match="LOUD"):
        setup_logging("LOUD")


def test_a_chosen_level_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_v", "1")
    quiet_mindspore()
    assert os.environ.get("GLOG_v") == "1"  # noqa: SIM112 - MindSpore's own spelling


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "GLOG_v"}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", TRAINING, *arguments], env=environ, capture_output=True, text=True, check=True
    )


def test_importing_and_training_is_silent() -> None:
    assert "WARNING" in train().stderr  # else there is nothing left to silence
    quiet = train("quiet")
    assert (quiet.stdout, quiet.stderr) == ("trained\n", "")
