"""A stop that comes before training has begun."""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "online_learning"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
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
    assert program.main() == 0
    assert capsys.readouterr().out == ""
