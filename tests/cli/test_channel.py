from __future__ import annotations

from pathlib import Path

import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.stream.channel_keys import consumer_keys, trainer_keys


def test_it_makes_keys_and_says_where_they_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["channel", "keys", str(tmp_path / "keys")]) == 0
    assert main(["channel", "keys", str(tmp_path / "keys"), "b", "c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"consumer.py: --channel_keys {tmp_path}/keys/consumer"
    assert [line.split("/")[-1] for line in lines] == ["consumer", "trainer", "b", "c"]
    clients = {trainer_keys(tmp_path / "keys" / name).public for name in ("trainer", "b", "c")}
    assert clients == consumer_keys(tmp_path / "keys" / "consumer").clients
    assert len(clients) == 3


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/consumer: Not a directory"):
        main(["channel", "keys", str(tmp_path / "file")])


def test_a_part_of_a_command_is_refused() -> None:
    with pytest.raises(ConfigError, match="keys"):
        main(["channel"])
