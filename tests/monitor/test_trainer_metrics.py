"""What Prometheus gets of a trainer."""

import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mindspore_rec.config import ConfigError
from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES, TrainerFigures
from mindspore_rec.monitor.trainer_metrics import PREFIX, TrainerMetrics, metric_name
from tests.monitor.trainer_examples import all_figures


@pytest.fixture
def metrics():
    opened = TrainerMetrics("127.0.0.1", 0, now=lambda: 1_700_000_060.0)
    yield opened
    opened.close()


def scraped(metrics):
    """Values by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found[(sample.name, *sorted(sample.labels.values()))] = sample.value
    return found


def test_all_figures_are_there(metrics):
    figures = all_figures()
    metrics.report(figures)
    found = scraped(metrics)
    for figure in FIGURES:
        assert found[(metric_name(figure),)] == figures.values[figure.name]
    for figure in TABLE_FIGURES:
        for table in ("deep", "wide"):
            assert found[(metric_name(figure), table)] == figures.tables[table][figure.name]


def test_what_is_not_known_is_absent(metrics):
    assert {name for name, *_ in scraped(metrics)} == {
        *(f"{PREFIX}step_seconds_{part}" for part in ("bucket", "count", "sum"))
    }
    metrics.report(TrainerFigures(5, -1, {"rows": 5.0}))
    assert (f"{PREFIX}auc",) not in scraped(metrics)


def test_steps_are_counted_by_their_seconds(metrics):
    for seconds in (0.0015, 0.015, 0.015, 99.0):
        metrics.step(seconds)
    found = scraped(metrics)
    assert found[(f"{PREFIX}step_seconds_count",)] == 4
    assert found[(f"{PREFIX}step_seconds_bucket", "0.002")] == 1
    assert found[(f"{PREFIX}step_seconds_bucket", "10.0")] == 3
    assert found[(f"{PREFIX}step_seconds_sum",)] == pytest.approx(99.0315)


def test_the_lag_behind_events_grows_while_nothing_comes(metrics):
    metrics.report(TrainerFigures(5, 1_700_000_000_000, {"event_lag_seconds": 1.0}))
    assert scraped(metrics)[(f"{PREFIX}event_lag_seconds",)] == 60.0


def test_tables_are_read_where_somebody_asked_and_kept(metrics):
    assert metrics.wants_tables  # once, before anybody asks
    metrics.report(all_figures())
    assert not metrics.wants_tables
    scraped(metrics)
    assert metrics.wants_tables
    metrics.report(TrainerFigures(7, -1, {"rows": 7.0}))
    found = scraped(metrics)
    assert (found[(f"{PREFIX}rows_total",)], found[(f"{PREFIX}table_rows", "deep")]) == (7.0, 100.0)
    assert metrics.wants_tables


def test_a_port_in_use_is_one_line(metrics):
    with pytest.raises(ConfigError, match=rf"^metrics_port = {metrics.port}, .* Address already in use$"):
        TrainerMetrics("127.0.0.1", metrics.port)


@pytest.mark.parametrize(("host", "port"), [("256.0.0.1", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_is_none_is_one_line(host, port):
    with pytest.raises(ConfigError, match=f"^metrics_port = {port}, metrics_host = '{host}': expected an address"):
        TrainerMetrics(host, port)


def test_the_port_is_free_after_training(metrics):
    metrics.close()
    metrics.close()
    with pytest.raises(urllib.error.URLError):
        scraped(metrics)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", metrics.port))
