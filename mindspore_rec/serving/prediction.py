"""What a predictor gives its callers, and what the server needs of one; nothing here imports MindSpore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Protocol, Sequence, Tuple

import numpy as np

from mindspore_rec.serving.publication import PublicationManifest
from mindspore_rec.serving.raw_rows import RawRow


@dataclass(frozen=True)
class Version:
    """A state of a model.

    Attributes:
        number: of the publication.
        identity: a name for the state.
        step: updates it is made of.
        data_time: of its newest row, in milliseconds since 1970; None where rows have none.
        spec_digest: of its feature spec; empty where it has none.
    """

    number: int
    identity: str
    step: int
    data_time: Optional[int]
    spec_digest: str

    @classmethod
    def of(cls, manifest: PublicationManifest) -> Version:
        """That of a publication."""
        return cls(manifest.version, manifest.identity, manifest.step, manifest.data_time, manifest.spec_digest)


@dataclass(frozen=True)
class Prediction:
    """An answer.

    Attributes:
        outputs: float32 [n, ...] by name.
        version: that all rows were answered with.
    """

    outputs: Dict[str, np.ndarray]
    version: Version


@dataclass(frozen=True)
class PredictorStatus:
    """What a predictor is doing.

    Attributes:
        version: that it answers with; None before there is one.
        following: whether it takes over new publications.
        pinned: somebody chose that publication; the trainer does not move it.
        newest: number of the newest publication that servers are to answer with; 0: none.
        refused: why it does not answer with that; empty where it does, or is about to.
        loaded_at: when it began to answer with its version, in seconds since 1970.
        click_to_servable: median and 99th percentile of the seconds from an event to the moment that requests were
            answered by what was learned of it, over the newest publications; NaN where unknown.
        tables: rows by table.
    """

    version: Optional[Version]
    following: bool
    pinned: bool
    newest: int
    refused: str
    loaded_at: float
    click_to_servable: Tuple[float, float]
    tables: Dict[str, int]


class PredictorLike(Protocol):
    """What the server needs of a predictor. Any thread may call."""

    def predict(self, rows: Sequence[RawRow]) -> Prediction:
        """Answer rows, all with one version.

        Raises:
            RowError: one cannot be read.
            UserError: nothing was published yet.
        """

    def status(self) -> PredictorStatus:
        """What it is doing now; waits for nothing."""

    def publications(self) -> List[PublicationManifest]:
        """What the publications say of themselves, oldest first."""

    def rollback(self, version: int) -> Version:
        """Answer with an earlier version, and stay there until `follow`.

        Raises:
            UserError: it is not there, or cannot be loaded.
        """

    def follow(self) -> None:
        """Follow what is published again."""
