"""What a predictor gives its callers: predictions with the version that made them, and its own status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.serving.publication import PublicationManifest

RawRow = Union[str, bytes, Sequence[Any], Mapping[str, Any]]
"""A TSV line, a list of its fields, or fields by name; a field that is missing or null is a missing value."""


@dataclass(frozen=True)
class Version:
    """A version of the model that answers.

    Attributes:
        number: of its publication.
        identity: of its state.
        step: updates made.
        data_time: time of the newest row it has seen, in milliseconds since 1970; None where unknown.
        spec_digest: of the feature spec; empty where ids come from slot text.
    """

    number: int
    identity: str
    step: int
    data_time: Optional[int]
    spec_digest: str


@dataclass(frozen=True)
class Prediction:
    """What the model says of rows.

    Attributes:
        outputs: by name, float32 [rows, ...].
        version: that answered all of them.
    """

    outputs: Dict[str, np.ndarray]
    version: Version


class RowError(UserError):
    """A raw row cannot be read.

    Args:
        row: its number among the rows of the call.
        reason: why not.
    """

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


@dataclass(frozen=True)
class PredictorStatus:
    """What a predictor is doing.

    Attributes:
        version: that answers; None before the first.
        following: it takes new versions as they come.
        newest: newest version it has seen, 0 where there is none.
        refused: why that was not taken; empty: it was, or nothing is newer.
        loaded_at: when `version` began to answer, in seconds since 1970.
        click_to_servable: seconds from a click to a model that has learned of it, p50 and p99; nan where unknown.
        tables: rows by table.
    """

    version: Optional[Version]
    following: bool
    newest: int
    refused: str
    loaded_at: float
    click_to_servable: Tuple[float, float]
    tables: Dict[str, int]


class PredictorLike(Protocol):
    """What the server needs of a predictor. Any thread may call."""

    def predict(self, rows: Sequence[RawRow]) -> Prediction:
        """Predict; one version for all rows.

        Raises:
            RowError: a row cannot be read.
        """

    def status(self) -> PredictorStatus:
        """What it is doing."""

    def publications(self) -> List[PublicationManifest]:
        """What has been published, newest last."""

    def rollback(self, version: int) -> Version:
        """Answer with a version until `follow` is called.

        Raises:
            UserError: there is no such version, or it cannot be loaded.
        """

    def follow(self) -> None:
        """Take new versions as they come."""

    def close(self) -> None:
        """Stop following and release what is loaded."""
