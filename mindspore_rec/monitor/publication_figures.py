"""Figures of the newest publication for monitors of the trainer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Dict, Optional

from mindspore_rec.serving.click_to_servable import ClickToServable

if TYPE_CHECKING:  # both import MindSpore
    from mindspore_rec.serving.publication_writer import Written
    from mindspore_rec.serving.publisher import Publisher


class PublicationFigures:
    """Calling it gives figures of the newest publication that was written, by name; none before the first.

    Args:
        publisher: that writes them.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._known: Optional[Written] = None
        self._figures: Dict[str, float] = {}

    def __call__(self) -> Dict[str, float]:
        """Version, held (0 or 1), bytes and the median of click_to_publish_seconds, where times of rows are known."""
        last = self._publisher.last
        if last is not None and last is not self._known and last.manifest is not None:
            self._known, self._figures = last, _figures(last)
        return dict(self._figures)


def _figures(written: Written) -> Dict[str, float]:
    manifest = written.manifest
    if manifest is None:
        return {}
    found = {"version": float(manifest.version), "held": float(bool(manifest.held)), "bytes": float(manifest.nbytes)}
    freshness = ClickToServable()
    freshness.servable(manifest.event_times, manifest.created + written.seconds)
    median, _ = freshness.quantiles()
    if math.isfinite(median):
        found["click_to_publish_seconds"] = median
    return found
