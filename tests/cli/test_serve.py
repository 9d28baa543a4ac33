"""``python -m mindspore_rec serve``: what is wrong is said in a line."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "serve: expected the folder of publications first"),
        (["--port", "0"], "serve: expected the folder of publications first"),
        (["{tmp}", "--token_file", "{tmp}/none"], "token_file: .*none: No such file or directory"),
        (["{tmp}", "--port", "{taken}"], "port = .*: cannot listen on 127.0.0.1:.*: Address already in use"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: List[str], message: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(UserError, match=message) as error:
            main(["serve", *(part.format(tmp=tmp_path, taken=port) for part in arguments)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--port", "70000"], "port = '70000' .*expected a whole number >= 0 and <= 65535"),
        (["x", "y"], "unexpected argument 'y'"),
        (["x", "--name", "a/b"], "name = 'a/b'"),
        (["x", "--max_bodi", "1"], "unknown argument '--max_bodi'; did you mean '--max_body'"),
    ],
)
def test_keys_are_checked(arguments: List[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
