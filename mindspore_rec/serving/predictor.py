"""`Predictor`: answers with the newest publication of a folder, from raw rows."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Sequence

import numpy as np

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.serving.click_to_servable import ClickToServable
from mindspore_rec.serving.data_rows import engine_of, fed
from mindspore_rec.serving.delta import read_delta
from mindspore_rec.serving.exported_model import ExportedModel
from mindspore_rec.serving.graph_engines import EngineName, open_engine
from mindspore_rec.serving.prediction import Prediction, PredictorStatus, Version
from mindspore_rec.serving.publication import PublicationError, PublicationManifest
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.raw_rows import FieldRows, RawRow, RowReader, SlotObjects
from mindspore_rec.serving.served_model import ServedModel

logger = logging.getLogger(__name__)

_WARM_ROWS = (1, 100)
_LONGEST_WAIT = 5.0  # seconds between two tries to take what is refused


class Predictor:
    """Answers with the version that `current` of a folder of publications names, and follows it in the background.

    A publication that is damaged, missing, or does not follow the one before is refused: the last good version stays,
    and `status()` says why.

    Args:
        folder: of the publications.
        follow: take over new ones.
        poll_seconds: between two looks at `current`.
        dictionary: dictionary.safetensors, where the ids of the model come from one.
        spec: the feature spec that the caller expects; another one is refused. None: any.
        engine: what computes the dense part: "auto", "onnxruntime" or "mindspore"; see `open_engine`.
        threads: of ONNX Runtime, that compute many rows; 0: one a core.
        clock: seconds since 1970.

    Raises:
        ConfigError: the model has another feature spec, or its rows cannot be read.
        UserError: there is a publication, and it cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        follow: bool = True,
        poll_seconds: float = 0.1,
        dictionary: str = "",
        spec: Optional[FeatureSpec] = None,
        engine: EngineName = "auto",
        threads: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = PublicationFolder(folder)
        self._dictionary, self._spec, self._clock = dictionary, spec, clock
        self._poll_seconds = poll_seconds
        self._open_engine = partial(open_engine, name=engine, threads=threads)
        self._model: Optional[ServedModel] = None
        self._reader: Optional[RowReader] = None
        self._refused, self._newest, self._pinned = "", 0, False
        self._wait = poll_seconds
        self._loaded_at = 0.0
        self._freshness = ClickToServable()
        self._lock = threading.Lock()  # of whoever changes the version
        self._following, self._closed = threading.Event(), threading.Event()
        current = self._folder.current()
        if current is not None:
            self._newest, self._pinned = current.version, current.pinned
            self._go_to(current.version)
        if follow:
            self._following.set()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._thread.start()

    def predict(self, rows: Sequence[RawRow]) -> Prediction:
        """Answer rows, all with one version. Any thread may call.

        Raises:
            RowError: one cannot be read.
            UserError: nothing was published yet.
        """
        model, reader = self._model, self._reader
        if model is None or reader is None:
            raise UserError(f"{self._folder.path}: nothing was published yet")
        outputs, version = model.predict(*fed(reader.read(rows), model.export.manifest))
        return Prediction(outputs, version)

    def status(self) -> PredictorStatus:
        """What it is doing now."""
        model = self._model
        return PredictorStatus(
            version=model.version if model is not None else None,
            following=self._following.is_set(),
            pinned=self._pinned,
            newest=self._newest,
            refused=self._refused,
            loaded_at=self._loaded_at,
            click_to_servable=self._freshness.quantiles(),
            tables=model.rows if model is not None else {},
        )

    @property
    def export(self) -> ExportedModel:
        """The full publication that the version is based on.

        Raises:
            UserError: nothing was published yet.
        """
        return self._served().export

    def publications(self) -> List[PublicationManifest]:
        """What the publications say of themselves, oldest first."""
        return self._folder.versions()

    def wait_for(self, version: int, timeout: float = 30.0) -> bool:
        """Wait until a version, or a newer one, answers; whether it does."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            model = self._model
            if model is not None and model.version.number >= version:
                return True
            self._closed.wait(self._poll_seconds)
        return False

    def rollback(self, version: int) -> Version:
        """Answer with another version, an earlier one as a rule, and stay there until `follow`.

        Raises:
            UserError: it is not there, or cannot be loaded; the version stays as it was.
        """
        followed = self._following.is_set()
        self._following.clear()
        try:
            with self._lock:
                self._go_to(version)
        except BaseException:
            if followed:
                self._following.set()
            raise
        return self._served().version

    def follow(self) -> None:
        """Follow `current` again."""
        self._following.set()

    def close(self) -> None:
        """Stop following; what was begun is finished."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _served(self) -> ServedModel:
        if self._model is None:
            raise UserError(f"{self._folder.path}: nothing was published yet")
        return self._model

    def _run(self) -> None:
        while not self._closed.wait(self._wait):
            if self._following.is_set():
                self._look()

    def _look(self) -> None:
        """Take over what `current` names now."""
        try:
            current = self._folder.current()
            if current is None:
                return
            self._newest, self._pinned = current.version, current.pinned
            with self._lock:
                if self._following.is_set():
                    self._go_to(current.version)
            self._refused, self._wait = "", self._poll_seconds
        except (OSError, UserError, MemoryError) as error:
            if str(error) != self._refused:
                logger.error("%s; version %s stays", error, self._model.version.number if self._model else "none")
            self._refused, self._wait = str(error), min(2 * self._wait, _LONGEST_WAIT)

    def _go_to(self, version: int) -> None:
        model = self._model
        if model is not None and model.version.number == version:
            return
        if model is None or not self._advance(model, version):
            self._load(version)
        elif self._newest_full(version) > model.base.number:
            self._load(version)  # the same answers, without what lies over the older one

    def _newest_full(self, version: int) -> int:
        kinds = self._folder.kinds()
        return max((number for number, there in kinds.items() if number <= version and "full" in there), default=0)

    def _advance(self, model: ServedModel, version: int) -> bool:
        """Take over the deltas up to a version; whether there are some, one after the other."""
        kinds = self._folder.kinds()
        numbers = range(model.version.number + 1, version + 1)
        if (
            model.broken
            or version < model.version.number
            or any("delta" not in kinds.get(number, ()) for number in numbers)
        ):
            return False
        for number in numbers:
            delta = read_delta(self._folder.path_of(number, "delta"))
            if delta.manifest.follows != model.version.identity:
                return False
            model.advance(delta)
            self._switched([delta.manifest])
        return True

    def _load(self, version: int) -> None:
        """Load the full publication before a version and the deltas up to it, then answer with them."""
        path, deltas = self._folder.chain(version)
        old = self._model
        model = ServedModel(path, old.engine if old is not None else None, self._open_engine)
        self._check_spec(model)
        reader = self._new_reader(model.export) if old is None or self._reader is None else self._reader
        manifests = [self._folder.manifest_of(self._folder.number_of(path), "full")]
        for folder in deltas:
            delta = read_delta(folder)
            model.advance(delta)
            manifests.append(delta.manifest)
        self._warm(model)
        self._model, self._reader = model, reader
        # What was there before this started was servable long ago, from somebody else.
        known = old.version.number if old is not None else version
        self._switched([manifest for manifest in manifests if manifest.version > known])

    def _switched(self, manifests: Sequence[PublicationManifest]) -> None:
        self._loaded_at = self._clock()
        for manifest in manifests:
            self._freshness.servable(manifest.event_times, self._loaded_at)

    def _check_spec(self, model: ServedModel) -> None:
        found, old = model.version.spec_digest, self._model
        if self._spec is not None and found != self._spec.digest():
            raise ConfigError(f"the model has feature spec {found or 'none'}, expected {self._spec.digest()}")
        if old is not None and found != old.version.spec_digest:
            raise PublicationError(
                f"version {model.version.number} has feature spec {found or 'none'}, expected "
                f"{old.version.spec_digest}: start the server again to take it"
            )

    def _new_reader(self, export: ExportedModel) -> RowReader:
        manifest = export.manifest
        fields: Mapping[str, object] = manifest.source.model
        if manifest.weighted or "sparse" not in fields:
            return FieldRows(engine_of(manifest, self._dictionary))
        sparse, dense = manifest.source.model["sparse"], manifest.source.model["dense"]
        schema = SlotSchema(str(fields["label"]), tuple(sparse), tuple((name, width) for name, width in dense))
        return SlotObjects(schema)

    def _warm(self, model: ServedModel) -> None:
        """Have what is compiled at the first request compiled now."""
        graph = model.export.manifest.graph
        width = dict(graph.inputs)
        for count in _WARM_ROWS:
            numbers = [np.zeros((count, *shape), np.float32) for name, shape in width.items() if name != "rows"]
            model.predict(np.zeros((count, len(graph.slots)), np.int64), *numbers)
