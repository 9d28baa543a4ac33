"""The two READMEs: the same commands in both languages, and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from mindspore_rec.config import ConsumerConfig, ProducerConfig, TrainConfig
from tests.source_tree import REPOSITORY

ENGLISH, CHINESE = REPOSITORY / "README.md", REPOSITORY / "README_CN.md"
PROGRAMS = {"producer.py": ProducerConfig, "consumer.py": ConsumerConfig, "online_train.py": TrainConfig}
OWN_OPTIONS = {"config", "print_config", "help", "KEY"}  # of every program; KEY stands for any key
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = {"bash", "sh", "shell"}


def commands(text: str) -> List[str]:
    """Commands in the shell blocks of a README: comments and trailing blanks removed, continued lines joined."""
    found = []
    for language, block in FENCE.findall(text):
        if language in SHELLS:
            for line in block.replace("\\\n", " ").splitlines():
                command = " ".join(re.sub(r"(^|\s)#.*", "", line).split())
                if command:
                    found.append(command)
    return found


def program_lines() -> Iterator[Tuple[str, str]]:
    for command in commands(ENGLISH.read_text("utf-8")):
        for program in PROGRAMS:
            if re.search(rf"\b{re.escape(program)}\b", command):
                yield program, command


def test_commands_are_found() -> None:
    text = "# a\n```bash\n# comment\npython a.py \\\n  --b 1  # note\n```\n```\noutput\n```\n```sh\nls\n```\n"
    assert commands(text) == ["python a.py --b 1", "ls"]


def test_both_languages_show_the_same_commands() -> None:
    english, chinese = (commands(path.read_text("utf-8")) for path in (ENGLISH, CHINESE))
    assert english
    assert english == chinese


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_files_and_links_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    named = set(re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text))
    named |= {
        script for command in commands(text) for script in re.findall(r"\b(?:scripts|benchmarks)/\S+\.\w+", command)
    }
    missing = [name for name in sorted(named) if not (REPOSITORY / name).exists()]
    assert missing == []


def test_options_of_the_programs_exist() -> None:
    lines = list(program_lines())
    assert {program for program, _ in lines} == set(PROGRAMS)
    for program, command in lines:
        for option in re.findall(r"--(\w+)", command):
            assert option in {*PROGRAMS[program].model_fields, *OWN_OPTIONS}, f"{command}: no option --{option}"
