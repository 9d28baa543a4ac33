"""What ends the trainer before training has begun: a stop, and another trainer."""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.store import CheckpointStore

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "online_learning"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)  # where the checkpoints go
    monkeypatch.setattr(sys, "argv", ["online_train.py"])
    before = signal.getsignal(signal.SIGTERM)
    import online_train

    yield online_train
    signal.signal(signal.SIGTERM, before)
    del sys.modules["online_train"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_during_set_up_ends_with_status_0(
    program: ModuleType, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def set_up(config: Any) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("the signal did not stop it")

    monkeypatch.setattr(program, "train", set_up)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
    try:
        assert program.main() == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out == ""


def test_a_second_trainer_is_refused_before_any_work(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "train", lambda config: pytest.fail("it went to work"))
    message = rf"^checkpoint_path = 'checkpoints' is in use by process {os.getpid()} on "
    with CheckpointStore(Path("checkpoints")).held(), pytest.raises(CheckpointError, match=message):
        program.main()
