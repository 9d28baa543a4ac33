"""``python -m mindspore_rec``."""

from __future__ import annotations

import importlib

import pytest

from mindspore_rec.__main__ import COMMANDS, main
from mindspore_rec.config import ConfigError


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_commands_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for name, what in COMMANDS.items():
        assert name in printed
        assert what in printed


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown command 'quickstar'.*quickstart"):
        main(["quickstar"])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(importlib.import_module(f"mindspore_rec.cli.{name.replace('-', '_')}").main)
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m mindspore_rec {name} " in capsys.readouterr().out
