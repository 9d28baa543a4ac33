"""A status as text: the figures, the reasons in words, and nothing that breaks it."""

from __future__ import annotations

import io
from datetime import timezone
from typing import Any, Dict, List

import pytest
from rich.console import Console

from mindspore_rec.monitor.status_values import publications_of, standing
from mindspore_rec.monitor.status_view import status_view
from tests.monitor.scripted_server import CREATED, publication, status


def printed(said: Dict[str, Any], rows: int = 20) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(status_view(said, CREATED + 50, rows, timezone.utc))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_of_a_server_that_follows() -> None:
    said = printed(status([publication(number) for number in range(1, 11)]))
    for words in (
        "criteo  FOLLOWING  Version 10 is the newest and is served.",
        "version 10, step 700, data until 2025-11-24 16:00:38, 11 s ago, 5b1d0c9e",
        "17,500 rows/s  700,000 trained, 12 rejected, 0 skipped  as of version 10, 10 s ago",
        "12 messages, 1.3 s behind the events",
        "p50 3.1 s, p99 5.8 s",
        "118.0 /s, p50 2.1 ms, p99 7.9 ms, 3 of 12,345 failed",
    ):
        assert words in said
    assert said.split("deep")[1].split()[:4] == ["409,000", "400,000", "62.5", "1,200"]
    curve = next(line for line in said.splitlines() if line.startswith("AUC"))
    assert len(curve.split()[1]) == 10
    assert [line.split()[0] for line in said.splitlines() if " delta " in line] == [str(k) for k in range(10, 1, -1)]


def test_only_the_newest_publications_are_listed() -> None:
    assert printed(status([publication(number) for number in range(1, 11)]), rows=3).count(" delta ") == 3


def test_a_held_publication_says_why_and_steers_no_terminal() -> None:
    said = printed(status([publication(1), publication(2, held="AUC [bold]low[/bold] \x1b[2J\nx")]))
    assert "held back: AUC [bold]low[/bold] �[2J�x" in said
    assert "HELD BACK  Following: version 2 was held back by the trainer: AUC" in said


@pytest.mark.parametrize(
    ("changed", "label", "words"),
    [
        ({}, "following", "Version 2 is the newest"),
        ({"served": 1}, "loading", "version 2 comes next"),
        ({"served": 1, "refused": "bad digest"}, "refused", "Version 2 was refused: bad digest Version 1 goes on"),
        ({"served": 1, "pinned": True}, "pinned", "Pinned to version 1"),
        ({"served": 1, "following": False}, "not following", "Rolled back: version 1"),
        ({"version": None}, "waiting", "No version is served yet"),
        ({"version": None, "refused": "no memory"}, "refused", "No version is served. Version 2 was refused: no mem"),
    ],
)
def test_why_a_version_is_served(changed: Dict[str, Any], label: str, words: str) -> None:
    said = status([publication(1), publication(2)], **changed)
    found = standing(said, publications_of(said))
    assert found.label == label
    assert words in found.words
    assert f"{label.upper()}  {found.words}" in printed(said)


def test_nothing_is_known_yet() -> None:
    said = printed(status([]))
    assert "There is no publication yet" in said
    assert "No table is known yet." in said
    assert "nothing yet" in said


HOSTILE: List[Any] = [None, True, "x", 1e308, float("nan"), 10**400, -1, [], [1], {}, {"number": {}}]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:12])
def test_values_of_other_types_count_as_unknown(value: Any) -> None:
    whole = status([publication(1)])
    for key in whole:
        printed({**whole, key: value})
    for key in whole["publications"][0]:
        printed({**whole, "publications": [{**whole["publications"][0], key: value}, value]})
    printed({**whole, "tables": {"deep": value}, "requests": {"p50_ms": value}})
    printed({})
