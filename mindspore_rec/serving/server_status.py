"""The status of a server in JSON: what the page and `top` show."""

from __future__ import annotations

from typing import Any, Dict, List

from mindspore_rec.serving.prediction import PredictorLike
from mindspore_rec.serving.publication import PublicationManifest
from mindspore_rec.serving.request_window import RequestSummary

PUBLICATIONS = 500


def status_of(predictor: PredictorLike, name: str, waiting_rows: int, requests: RequestSummary) -> Dict[str, Any]:
    """What a server does, for orjson; what is not known is null there.

    Args:
        predictor: asked for its status and for what was published.
        name: of the model.
        waiting_rows: rows in the queue.
        requests: of the last minute.
    """
    status = predictor.status()
    version = status.version
    p50, p99 = status.click_to_servable
    return {
        "name": name,
        "version": vars(version) if version else None,
        "loaded_at": status.loaded_at if version else None,
        "following": status.following,
        "pinned": status.pinned,
        "newest": status.newest,
        "refused": status.refused,
        "tables": status.tables,
        "click_to_servable_p50_s": p50,
        "click_to_servable_p99_s": p99,
        "requests": requests,
        "waiting_rows": waiting_rows,
        "publications": publications_of(predictor.publications()),
    }


def publications_of(manifests: List[PublicationManifest]) -> List[Dict[str, Any]]:
    """The last publications, oldest first."""
    return [
        {
            "version": manifest.version,
            "kind": manifest.kind,
            "created": manifest.created,
            "data_time": manifest.data_time,
            "step": manifest.step,
            "rows": sum(table.rows for table in manifest.tables.values()),
            "held": manifest.held,
            "metrics": manifest.metrics,
            "bytes": manifest.nbytes,
        }
        for manifest in manifests[-PUBLICATIONS:]
    ]
