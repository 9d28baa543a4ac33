"""Typed section of the server of models: `python -m mindspore_rec serve`."""

from __future__ import annotations

from typing import Literal, Optional

from pydantic import ByteSize, Field

from mindspore_rec.config import Section


class ServeConfig(Section):
    """Where the server listens, who may ask it, and how much at a time."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; beyond loopback use token_file")
    port: int = Field(8501, ge=0, le=65535, description="port to listen on; 0: a free one, which is printed")
    name: str = Field(
        "criteo", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$", description="of the model in /v1/models/NAME"
    )
    token_file: Optional[str] = Field(
        None, min_length=1, description="file of the bearer token that clients have to send; null: they need none"
    )
    follow: bool = Field(True, description="take new versions as they are published; false: stay at that of the start")
    poll_seconds: float = Field(0.1, gt=0, le=3600, description="between looks for a new version")
    dictionary: Optional[str] = Field(None, description="dictionary.safetensors of process_data.py: dictionary ids")
    engine: Literal["auto", "onnxruntime", "mindspore"] = Field(
        "auto", description="of the dense part; auto: ONNX Runtime where it is installed and gives the same numbers"
    )
    threads: int = Field(0, ge=0, le=1024, description="of ONNX Runtime, that compute 512 rows or more; 0: one a core")
    max_body: ByteSize = Field(ByteSize(4 << 20), ge=1 << 10, le=1 << 30, description="size of a request")
    max_rows: int = Field(10000, ge=1, le=1000000, description="rows in a request")
    max_requests: int = Field(256, ge=1, le=100000, description="predict requests at a time; more are refused")
    max_queue_rows: int = Field(50000, ge=1, le=100000000, description="rows that wait; requests beyond are refused")
    max_batch_rows: int = Field(4096, ge=1, le=1000000, description="rows of waiting requests computed at a time")
    max_connections: int = Field(512, ge=1, le=100000, description="open connections; more are refused")
    request_seconds: float = Field(10.0, gt=0, le=3600, description="in which a request is answered, or given up")
    read_seconds: float = Field(5.0, gt=0, le=3600, description="in which a client sends a request, or takes an answer")
    keep_alive_seconds: int = Field(75, ge=1, le=3600, description="after which an idle connection is closed")
    drain_seconds: float = Field(
        10.0, gt=0, le=3600, description="for requests that are there when the server is told to stop"
    )
