"""The gate before servers: a publication whose model has begun to predict badly is held back.

Figures are progressive: of rows that were predicted before they were trained. Each has a control band of its own; AUC
must not fall below its band, log loss not rise above, and calibration do neither.
"""

from __future__ import annotations

import math
import threading
from typing import Dict, List, Mapping

import numpy as np

from mindspore_rec.config import GateConfig
from mindspore_rec.metrics.control_band import ControlBand
from mindspore_rec.metrics.sampling_error import auc_error, calibration_error, least_rate, log_loss_error

FIGURES = ("auc", "log_loss", "calibration")
_BANDS = (*FIGURES, "rate")
_SUMS = ("rows", "clicks", *FIGURES)


class PublicationGate:
    """Judges one publication after another. Any thread may call its methods.

    An interval, the rows between two publications, is judged by itself. Intervals that are too short are gathered, and
    the verdict before holds meanwhile. What is outside a band moves none of them: a model that stays bad stays held
    back, until it is good again or somebody says that this is how it is now.

    Args:
        config: how wide the bands are.

    Attributes:
        verdict: why the newest publication is held back; empty: it is not.
    """

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._lock = threading.Lock()  # publications are judged in one thread, checkpoints taken in another
        given = config.gate_weight, config.gate_width, config.gate_warmup, config.gate_tolerance
        self._bands = {
            "auc": ControlBand(*given, upper=False),
            "log_loss": ControlBand(*given, lower=False),
            "calibration": ControlBand(*given),
            "rate": ControlBand(*given, lower=False, upper=False),  # of clicks: what errors are computed with
        }
        self.verdict = ""
        self._forget_rows()

    def judge(self, metrics: Mapping[str, float]) -> str:
        """Judge a publication by its interval; call it once for each, in their order.

        Args:
            metrics: `rows` of the interval, and of these rows `auc`, `log_loss` and `calibration`, as far as they are
                known. With `clicks`, the rows of label 1, errors of short intervals are known better.

        Returns:
            Why it is to be held back, in one line; empty: it is not.
        """
        if not self._config.gate_width:
            return ""
        with self._lock:
            return self._judge(metrics)

    def release(self) -> None:
        """Somebody says that the model is as it should be: begin anew, with a new warm-up, at what is seen from now."""
        with self._lock:
            self.verdict = ""
            for band in self._bands.values():
                band.reset()
            self._forget_rows()

    def state(self) -> Dict[str, np.ndarray]:
        """Return all that a restarted trainer goes on with, for a checkpoint.

        Returns:
            bands float64[4, 3], of AUC, log loss, calibration and rate of clicks; gathered float64[2, 5], sums of rows,
            clicks and figures, and the rows in each; verdict uint8[n], UTF-8.
        """
        with self._lock:
            sums = [[part[name] for name in _SUMS] for part in (self._sums, self._known)]
            return {
                "bands": np.stack([self._bands[name].state() for name in _BANDS]),
                "gathered": np.array(sums, np.float64),
                "verdict": np.frombuffer(self.verdict.encode(), np.uint8).copy(),
            }

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Take over what `state` returned, whatever the configuration was.

        Raises:
            ValueError: it is none.
            KeyError: a part is missing.
        """
        bands, gathered = state["bands"], state["gathered"]
        if bands.shape != (len(_BANDS), 3) or gathered.shape != (2, len(_SUMS)):
            raise ValueError(f"gate: no state has bands of {bands.shape} and rows of {gathered.shape}")
        verdict = state["verdict"].tobytes().decode()
        with self._lock:
            for name, band in zip(_BANDS, bands):
                self._bands[name].load_state(band)
            self._sums, self._known = (dict(zip(_SUMS, part.tolist())) for part in gathered)
            self.verdict = verdict

    def _judge(self, metrics: Mapping[str, float]) -> str:
        self._gather(metrics)
        if self._rows < self._config.gate_min_rows:
            return self.verdict
        figures = {name: self._sums[name] / self._known[name] for name in FIGURES if self._known[name]}
        if self._known["clicks"]:
            rate = self._sums["clicks"] / self._known["clicks"]
        else:
            rate = least_rate(figures.get("log_loss", 0.0))
        reasons = [reason for name, figure in figures.items() for reason in self._reasons(name, figure)]
        if not reasons:
            for name, figure in {**figures, "rate": rate}.items():
                self._bands[name].take(figure)
        self._forget_rows()
        self.verdict = "; ".join(reasons)
        return self.verdict

    @property
    def _rows(self) -> float:
        return self._sums["rows"]

    def _forget_rows(self) -> None:
        self._sums, self._known = dict.fromkeys(_SUMS, 0.0), dict.fromkeys(_SUMS, 0.0)

    def _gather(self, metrics: Mapping[str, float]) -> None:
        """Add an interval; figures of several are their means over the rows."""
        rows = metrics.get("rows", 0.0)
        for name in _SUMS:
            if rows > 0 and name in metrics:
                self._known[name] += rows
                self._sums[name] += metrics[name] * (rows if name in FIGURES else 1.0)

    def _reasons(self, name: str, figure: float) -> List[str]:
        if not math.isfinite(figure):
            return [f"{name} is {figure}"]
        low, high = self._bands[name].limits(self._error(name, self._known[name]))
        if figure < low:
            return [f"{name} {figure:.4f} is below {low:.4f}, the lower end of its band"]
        if figure > high:
            return [f"{name} {figure:.4f} is above {high:.4f}, the upper end of its band"]
        return []

    def _error(self, name: str, rows: float) -> float:
        """Standard error of a figure of so many rows of the stream as it was before."""
        mean, rate = self._bands[name].mean, self._bands["rate"].mean
        if not math.isfinite(mean) or not math.isfinite(rate):
            return math.inf
        if name == "auc":
            return auc_error(mean, rate * rows, (1.0 - rate) * rows)
        if name == "log_loss":
            return log_loss_error(rate, rows)
        return calibration_error(mean, rate, rows)
