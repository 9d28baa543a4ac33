"""Figures of publications: those of the newest that was written."""

from types import SimpleNamespace

from mindspore_rec.monitor.publication_figures import PublicationFigures
from mindspore_rec.serving.manifest import FileOf
from mindspore_rec.serving.publication import PublicationManifest
from mindspore_rec.serving.publication_writer import Written


def written(version, **fields):
    files = {"a": FileOf(size=100, crc32c="0" * 8), "b": FileOf(size=20, crc32c="0" * 8)}
    manifest = PublicationManifest(version=version, kind="delta", created=1000.0, tables={}, files=files, **fields)
    return Written(version, 0.5, manifest.sealed())


def test_figures_are_those_of_the_newest_that_was_written():
    publisher = SimpleNamespace(last=None)
    figures = PublicationFigures(publisher)
    assert figures() == {}
    publisher.last = written(3)
    assert figures() == {"version": 3.0, "held": 0.0, "bytes": 120.0}
    times = [(10, 999_000, 999_000), (30, 998_000, 998_000), (10, 900_000, 900_000)]
    publisher.last = written(4, held="auc is low", event_times=times)
    assert figures() == {"version": 4.0, "held": 1.0, "bytes": 120.0}
    publisher.last = written(5, event_times=[(1, 999_500, 999_500)])
    found = {"version": 5.0, "held": 0.0, "bytes": 120.0}
    found.update(click_to_servable_p50_seconds=2.5, click_to_servable_p99_seconds=100.5)  # with those held back before
    assert figures() == found
    publisher.last = Written(6, 0.1, error="the disk is full")
    assert figures() == found
