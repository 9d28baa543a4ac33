"""Predict requests and their answers in the JSON of TensorFlow Serving's REST API.

{"instances": [row, ...]} is answered with {"predictions": [...]}, {"inputs": ...} with {"outputs": ...}. Where a model
has one output its values stand alone, [[0.12], [0.34]]; of several each has its name.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

import numpy as np
import orjson

from mindspore_rec.serving.http_errors import HttpError
from mindspore_rec.serving.prediction import Prediction
from mindspore_rec.serving.raw_rows import RawRow

SIGNATURES = ("", "serving_default")
_KEYS = {"signature_name", "instances", "inputs"}


class PredictRequest(NamedTuple):
    """Rows to predict.

    Attributes:
        rows: at least one.
        by_column: they came as columns, and so are the outputs to go.
    """

    rows: List[RawRow]
    by_column: bool


def parse_request(body: bytes, max_rows: int) -> PredictRequest:
    """Read the JSON of a request; what is in the rows is left to the predictor.

    Raises:
        HttpError: it is not JSON, not of this form, or has too many rows.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, f"the body is not JSON: {error}") from None
    if not isinstance(content, dict) or ("instances" in content) == ("inputs" in content):
        raise HttpError(400, 'expected an object with either "instances" or "inputs"')
    unknown = sorted(content.keys() - _KEYS)
    if unknown:
        raise HttpError(400, f"unknown key {_short(unknown[0])}: expected signature_name, instances or inputs")
    signature = content.get("signature_name", "")
    if signature not in SIGNATURES:
        raise HttpError(400, f"signature_name {_short(signature)}: expected serving_default")
    key = "inputs" if "inputs" in content else "instances"
    given = content[key]
    if isinstance(given, dict) and key == "inputs":
        given = _rows_of(given, max_rows)
    if not isinstance(given, list):
        raise HttpError(400, f"{key}: expected a list{' or an object of lists' if key == 'inputs' else ''}")
    _check_count(len(given), max_rows)
    for number, row in enumerate(given):
        if not isinstance(row, (str, list, dict)):
            raise HttpError(400, f"row {number}: expected a TSV line, a list of its fields, or an object", number)
    return PredictRequest(given, key == "inputs")


def answer_of(prediction: Prediction, by_column: bool) -> Dict[str, Any]:
    """What is answered, for orjson with NumPy arrays; values that are not finite become null there."""
    outputs = {name: np.ascontiguousarray(values) for name, values in prediction.outputs.items()}
    values: Any = outputs
    if len(outputs) == 1:
        (values,) = outputs.values()
    elif not by_column:
        values = [dict(zip(outputs, row)) for row in zip(*outputs.values())]
    return {
        "outputs" if by_column else "predictions": values,
        "model_version": str(prediction.version.number),
        "publication": prediction.version.identity,
    }


def _rows_of(columns: Dict[str, Any], max_rows: int) -> List[RawRow]:
    """Rows by name, of columns by name."""
    rows = None
    for name, values in columns.items():
        if not isinstance(values, list):
            raise HttpError(400, f"inputs {_short(name)}: expected a list with a value a row")
        if rows is not None and len(values) != rows:
            raise HttpError(400, f"inputs {_short(name)}: {len(values)} values, expected {rows} as in the others")
        rows = len(values)
    _check_count(rows or 0, max_rows)  # before the rows are made
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _check_count(rows: int, max_rows: int) -> None:
    if not rows:
        raise HttpError(400, "no rows: expected at least one")
    if rows > max_rows:
        raise HttpError(413, f"{rows} rows: expected at most {max_rows} in a request")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]}...'"
