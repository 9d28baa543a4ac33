"""Where a configuration comes from, and what a user sees when it is wrong."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

import pytest
import yaml
from pydantic import ByteSize, Field, PositiveInt, field_validator

from mindspore_rec.cli.options import dump, load, resolve, run_cli
from mindspore_rec.config import (
    ConfigError,
    ConsumerConfig,
    KafkaConfig,
    ProcessConfig,
    ProducerConfig,
    Section,
    TrainConfig,
    UserError,
)


class Probe(Section):
    """A section with a key of each kind."""

    count: int = Field(1, ge=1, le=9, description="how many")
    share: float = Field(0.5, gt=0, description="100% of it")
    flag: bool = Field(False, description="yes or no")
    name: str = Field("a", min_length=1, description="its name")
    file: Optional[str] = Field(None, description="a file")
    sizes: List[int] = Field([1], description="sizes")
    layers: List[PositiveInt] = Field([1], description="layers")
    room: ByteSize = Field(ByteSize(1 << 30), ge=1 << 20, description="memory")
    extra: Dict[str, int] = Field(default_factory=dict, description="more of it")
    api_token: str = Field("", description="secret")

    @field_validator("name")
    @classmethod
    def _not_b(cls, value: str) -> str:
        if value == "b":
            raise ValueError("a name other than b")
        return value


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(text, "utf-8")
    return path


def test_later_sources_win(tmp_path: Path) -> None:
    path = file_with(tmp_path, "count: 2\nshare: 2\nname: file\n")
    environ = {"MSREC_SHARE": "3", "MSREC_NAME": "environment", "UNRELATED": "x"}
    config = resolve(Probe, {"name": "argument"}, environ, path)
    assert (config.flag, config.count, config.share, config.name) == (False, 2, 3.0, "argument")


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["--count", "3"], "count", 3),
        (["--count=3"], "count", 3),
        (["--share", "1e-3"], "share", 1e-3),
        (["--flag"], "flag", True),
        (["--flag", "false"], "flag", False),
        (["--flag", "--count", "3"], "flag", True),
        (["--name", "007"], "name", "007"),
        (["--name", "null"], "name", "null"),
        (["--file", "null"], "file", None),
        (["--sizes", "3,4"], "sizes", [3, 4]),
        (["--sizes", "[3, 4]"], "sizes", [3, 4]),
        (["--extra", "{a: 1, b: 2}"], "extra", {"a": 1, "b": 2}),
        (["--extra", "a: 1"], "extra", {"a": 1}),
    ],
)
def test_arguments(arguments: List[str], key: str, value: object) -> None:
    assert getattr(load(Probe, "", arguments, {}), key) == value


def test_environment_takes_the_same_text() -> None:
    config = load(Probe, "", [], {"MSREC_SIZES": "3,4", "MSREC_EXTRA": "a: 1", "MSREC_FLAG": "true", "MSREC_NAME": ""})
    assert (config.sizes, config.extra, config.flag, config.name) == ([3, 4], {"a": 1}, True, "a")


def test_maps_are_merged_key_by_key(tmp_path: Path) -> None:
    path = file_with(tmp_path, "extra: {a: 1, b: 1, c: 1}\n")
    config = resolve(Probe, {"extra": "c: 3"}, {"MSREC_EXTRA": "{b: 2, c: 2}"}, path)
    assert config.extra == {"a": 1, "b": 2, "c": 3}


def test_config_argument_replaces_the_default_file(tmp_path: Path) -> None:
    default = file_with(tmp_path, "count: 2\nshare: 2\n")
    other = tmp_path / "other.yaml"
    other.write_text("count: 3\n", "utf-8")
    config = load(Probe, "", ["--config", str(other)], {}, default)
    assert (config.count, config.share) == (3, 0.5)
    assert load(Probe, "", [], {}, default).share == 2.0


BAD = [
    (["--count", "0"], {}, "", ["count = '0'", "argument --count", "whole number >= 1 and <= 9"]),
    ([], {"MSREC_COUNT": "x"}, "", ["count = 'x'", "environment variable MSREC_COUNT", "whole number"]),
    ([], {}, "count: [1]\n", ["count = [1]", "keys.yaml", "whole number"]),
    ([], {}, "count: true\n", ["count = True", "keys.yaml", "whole number"]),
    ([], {}, "count: null\n", ["count = None", "keys.yaml"]),
    (["--share", "nan"], {}, "", ["share = 'nan'", "number > 0"]),
    (["--share", "inf"], {}, "", ["share = inf", "a finite number"]),
    (["--flag", "maybe"], {}, "", ["flag = 'maybe'", "true or false"]),
    (["--name", "b"], {}, "", ["name = 'b'", "a name other than b"]),
    (["--name="], {}, "", ["name = ''", "not empty"]),
    ([], {}, "name: 12\n", ["name = 12", "text"]),
    (["--sizes", "1,x"], {}, "", ["sizes = ['1', 'x']", "list of whole numbers"]),
    (["--room", "1KiB"], {}, "", ["room = '1KiB'", "a size such as 4GiB or 512MiB >= 1.0MiB"]),
    (["--layers", "4,0"], {}, "", ["layers = ['4', '0']", "list of whole numbers >= 1"]),
    (["--sizes", "[1"], {}, "", ["sizes = '[1'", "list of whole numbers"]),
    (["--extra", "{a: "], {}, "", ["extra = ***", "a map as YAML text"]),
    (["--extra", "a=1"], {}, "", ["extra = ***", "a map as YAML text"]),
    ([], {}, "cuont: 1\n", ["unknown key 'cuont' in keys.yaml; did you mean 'count'?"]),
    ([], {}, "zzzzzz: 1\n", ["unknown key 'zzzzzz' in keys.yaml; --help lists"]),
    ([], {}, "1: 1\n", ["unknown key '1'"]),
    (["--cuont=1"], {}, "", ["unknown argument '--cuont'; did you mean '--count'?"]),
    (["--cou", "1"], {}, "", ["unknown argument '--cou'; did you mean '--count'?"]),
    (["--Share", "1"], {}, "", ["did you mean '--share'?"]),
    (["surplus"], {}, "", ["unexpected argument 'surplus'"]),
    (["--count"], {}, "", ["argument --count: expected one argument"]),
    (["--config", "absent.yaml"], {}, "", ["cannot read the configuration file absent.yaml"]),
]


@pytest.mark.parametrize(("arguments", "environ", "text", "parts"), BAD)
def test_a_mistake_is_one_line_and_status_2(
    arguments: List[str],
    environ: Dict[str, str],
    text: str,
    parts: List[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = file_with(tmp_path, text)
    with pytest.raises(SystemExit) as ended:
        load(Probe, "", arguments, environ, path)
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    for part in parts:
        assert part in shown.err


def test_an_unknown_key_names_the_nearest_one(tmp_path: Path) -> None:
    path = tmp_path / "default_config.yaml"
    path.write_text("batchsize: 1\n", "utf-8")
    with pytest.raises(ConfigError) as error:
        resolve(TrainConfig, {}, {}, path)
    assert str(error.value) == "unknown key 'batchsize' in default_config.yaml; did you mean 'batch_size'?"


def test_an_error_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--kafka", "sasl.password=hunter2"], ["--kafka", "[hunter2]"]):
        with pytest.raises(SystemExit):
            load(KafkaConfig, "", arguments, {})
    with pytest.raises(SystemExit):
        load(Probe, "", ["--tokn=hunter2"], {})
    with pytest.raises(ConfigError) as error:
        resolve(Probe, {"extra": "{api_token: hunter2}"}, {})
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in capsys.readouterr().err


def test_print_config_masks_secrets_and_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_with(
        tmp_path,
        "topic: clicks\nkafka:\n  security.protocol: SASL_SSL\n  sasl.username: me\n  sasl.password: hunter2\n"
        "  sasl.jaas.config: hunter2\n  ssl.key.pem: hunter2\n  sasl.oauthbearer.client.secret: hunter2\n",
    )
    with pytest.raises(SystemExit) as ended:
        load(ConsumerConfig, "", ["--config", str(path), "--print_config", "--window_size", "5"], {})
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert "hunter2" not in printed
    content = yaml.safe_load(printed)
    assert list(content) == list(ConsumerConfig.model_fields)
    assert (content["topic"], content["window_size"]) == ("clicks", 5)
    assert content["kafka"]["security.protocol"] == "SASL_SSL"
    assert content["kafka"]["sasl.username"] == "me"
    assert content["kafka"]["sasl.password"] == "***"


@pytest.mark.parametrize("cls", [ProducerConfig, ConsumerConfig, TrainConfig, ProcessConfig])
def test_the_printed_defaults_are_a_valid_file(cls: type[Section], tmp_path: Path) -> None:
    assert resolve(cls, {}, {}, file_with(tmp_path, dump(cls()))) == cls()


@pytest.mark.parametrize("cls", [ProducerConfig, ConsumerConfig, TrainConfig, Probe])
def test_help_explains_every_key(cls: type[Section], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(cls, "Does 100% of it.", ["--help"], {})
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "Does 100% of it." in text
    assert "--config FILE" in text
    for key, field in cls.model_fields.items():
        assert f"--{key} " in text
        assert field.description is not None
        assert " ".join(field.description.split()) in text
    assert "MSREC_<KEY>" in text


def test_help_tells_type_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(TrainConfig, "", ["--help"], {})
    text = " ".join(capsys.readouterr().out.split())
    assert "hidden layer sizes (a list of whole numbers >= 1, such as 8,4; default 1024,512,256,128)" in text
    assert "(one of CPU, GPU; default CPU)" in text
    assert "FTRL beta (a number >= 0; default 1.0)" in text


def test_misspelt_variable_is_a_warning_and_another_programs_is_not(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "MSREC_SAMPLE_DIR": "samples",  # no key, and like none
        "MSREC_BATCH_SIZE": "1",  # the trainer's
        "MSREC_SOMETHING_ELSE_ALTOGETHER": "1",
    }
    with caplog.at_level(logging.WARNING):
        resolve(ProducerConfig, {}, environ)
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        resolve(ProducerConfig, {}, {"MSREC_BLOCKROWS": "5"})
    assert caplog.messages == ["environment variable MSREC_BLOCKROWS is no key; did you mean MSREC_BLOCK_ROWS?"]


def test_keys_that_exclude_each_other_are_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^staleness = 1: expected 0 where exact_rows is 64$"):
        resolve(TrainConfig, {"staleness": 1, "exact_rows": 64}, {})


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems_are_one_line(
    platform: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(SystemExit) as ended:
        load(Probe, "", [], {})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: mindspore_rec runs on Linux")


def failing(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (ConfigError("a key\nis wrong"), 2, "error: a key is wrong\n"),
        (UserError("no broker"), 1, "error: no broker\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_run_cli_turns_errors_into_a_line(
    error: BaseException, status: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(lambda: failing(error))
    assert ended.value.code == status
    assert capsys.readouterr().err == shown


def test_run_cli_exits_with_the_status_of_main_and_hides_no_bug() -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(lambda: 3)
    assert ended.value.code == 3
    with pytest.raises(ZeroDivisionError):
        run_cli(lambda: failing(ZeroDivisionError()))


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from mindspore_rec.cli.options import load, run_cli\n"
        "from mindspore_rec.config import TrainConfig\n"
        "def main():\n"
        "    print(load(TrainConfig, 'Trains.').batch_size)\n"
        "    return 0\n"
        "run_cli(main)\n",
        "utf-8",
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MSREC_BATCH_SIZE": "64"}
    done = subprocess.run([sys.executable, str(program)], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "64\n", "")
    environ["MSREC_BATCH_SIZE"] = "-1"
    done = subprocess.run([sys.executable, str(program)], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: batch_size = '-1' (environment variable MSREC_BATCH_SIZE): "
        "expected a whole number >= 1 and <= 1000000\n"
    )
