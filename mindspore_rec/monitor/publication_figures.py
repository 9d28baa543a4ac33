"""Figures of the newest publication for monitors of the trainer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Dict, List, Optional

from mindspore_rec.serving.click_to_servable import ClickToServable
from mindspore_rec.serving.publication import BatchTimes, PublicationManifest

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
        self._freshness = ClickToServable()
        self._held: List[BatchTimes] = []

    def __call__(self) -> Dict[str, float]:
        """Version, held (0 or 1), bytes, and quantiles of click_to_servable_seconds where times of rows are known.

        Servable is a row once servers are told of the first publication that has it; how soon they take that over is
        their own figure.
        """
        last = self._publisher.last
        if last is not None and last is not self._known and last.manifest is not None:
            self._known, self._figures = last, self._figures_of(last.manifest, last.seconds)
        return dict(self._figures)

    def _figures_of(self, manifest: PublicationManifest, seconds: float) -> Dict[str, float]:
        found = {
            "version": float(manifest.version),
            "held": float(bool(manifest.held)),
            "bytes": float(manifest.nbytes),
        }
        self._held += manifest.event_times  # what is held back comes with the next one that is not
        if not manifest.held:
            self._freshness.servable(self._held, manifest.created + seconds)
            self._held = []
        for name, value in zip(("p50", "p99"), self._freshness.quantiles()):
            if math.isfinite(value):
                found[f"click_to_servable_{name}_seconds"] = value
        return found
