"""The model of docs/scaling.md: its edges, what was measured, and the page itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling_model import (
    MEASURED,
    NETWORKS,
    SHARED_MEMORY,
    SIZES,
    Network,
    efficiency,
    faster,
    hosts,
    larger_batch,
    sent_bytes,
    step_ms,
    tables,
    variants,
)
from tests.source_tree import REPOSITORY

PAGE = REPOSITORY / "docs" / "scaling.md"


def test_one_rank_sends_nothing_and_waits_for_nobody() -> None:
    assert efficiency(MEASURED, NETWORKS[25.0], 1) == 1.0
    assert sum(sent_bytes(MEASURED, 1).values()) == 0.0


@pytest.mark.parametrize(("ranks", "measured"), [(2, 2188.7), (4, 3297.2)])
def test_bytes_are_those_that_were_counted(ranks: int, measured: float) -> None:
    assert sum(sent_bytes(MEASURED, ranks).values()) / MEASURED.rows == pytest.approx(measured, rel=0.02)


def test_a_perfect_network_leaves_computing_and_waiting() -> None:
    rank = replace(MEASURED, spread_ms=0.0, sharding_ms=0.0)
    assert efficiency(rank, Network(1e12, 0.0, 0.0), 512) == pytest.approx(1.0, abs=1e-6)
    assert efficiency(MEASURED, Network(1e12, 0.0, 0.0), 512) < 1.0


def test_more_ranks_faster_ranks_and_slower_networks_scale_worse() -> None:
    slow, fast = NETWORKS[25.0], NETWORKS[100.0]
    found = [efficiency(MEASURED, slow, ranks) for ranks in (1, 2, *SIZES)]
    assert found == sorted(found, reverse=True)
    for ranks in SIZES:
        assert efficiency(faster(MEASURED, 16), slow, ranks) < efficiency(MEASURED, slow, ranks)
        assert efficiency(MEASURED, slow, ranks) < efficiency(MEASURED, fast, ranks)


def test_what_grows_with_ranks_is_messages_and_predictions() -> None:
    few, many = (step_ms(MEASURED, NETWORKS[25.0], ranks) for ranks in (64, 512))
    assert many["messages"] / few["messages"] > 6
    assert many["dense"] / few["dense"] < 1.02
    local = replace(MEASURED, output_bytes=0)
    assert step_ms(local, NETWORKS[25.0], 512)["exchange"] < 1.02 * step_ms(local, NETWORKS[25.0], 64)["exchange"]


def test_each_variant_scales_better_than_the_one_before() -> None:
    found = [efficiency(rank, NETWORKS[25.0], 512) for rank in variants(faster(MEASURED, 16)).values()]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert larger_batch(MEASURED, 1, 1.0) == MEASURED


@pytest.mark.parametrize(
    ("ids", "nbytes", "size", "expected"),
    [(1, 250.0, 256, 1), (10**9, 250.0, 256, 2), (10**9, 200.0, 1024, 1), (10**11, 1.0, 1 << 20, 47)],
)
def test_hosts_hold_the_bytes_and_the_row_numbers(ids: int, nbytes: float, size: int, expected: int) -> None:
    assert hosts(ids, nbytes, size << 30) == expected


def test_the_check_stays_near_what_was_measured() -> None:
    """Of two ranks; scaling.py printed 0.897."""
    assert efficiency(MEASURED, SHARED_MEMORY, 2) == pytest.approx(0.9, abs=0.06)
    assert efficiency(faster(MEASURED, 0.5), SHARED_MEMORY, 4) < efficiency(MEASURED, SHARED_MEMORY, 2)


@pytest.mark.parametrize("name", sorted(set(tables()) - {"check"}))
def test_the_page_has_the_tables_the_script_prints(name: str) -> None:
    assert "\n".join(tables()[name]) in PAGE.read_text("utf-8")


def test_the_page_has_the_predictions_beside_what_was_measured() -> None:
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines()]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]
    for line in tables()["check"][2:]:
        ranks, cores, predicted = (cell.strip() for cell in line.split("|")[1:-1])
        assert any(row[:2] == [ranks, cores] and row[3:] == [predicted] for row in cells)
