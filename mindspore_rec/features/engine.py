"""Make the feature engine a configuration asks for."""

from __future__ import annotations

from typing import Optional, Protocol, Sequence, Tuple

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.batch import Features, Float32, Int64
from mindspore_rec.features.dictionary import Dictionary, load_dictionary
from mindspore_rec.features.dictionary_file import load_dictionary_file
from mindspore_rec.features.encoding import make_encoding
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.numba_engine import NumbaEngine
from mindspore_rec.features.reference import check_format, split_rows
from mindspore_rec.features.spec import FeatureSpec


class FeatureEngine(Protocol):
    """Raw messages to ids and weights. Calls share no state, so threads may share an engine."""

    @property
    def spec(self) -> FeatureSpec:
        """What decides ids and weights."""

    def transform(self, messages: Sequence[bytes], format: str) -> Features:
        """Rows of the messages as arrays.

        Args:
            messages: raw message values.
            format: ``block`` or ``tsv`` (lines of tab-separated fields, one in ``tsv``), or ``json`` (one JSON
                list of the fields a message).

        Raises:
            ValueError: another format. Bad rows raise nothing, they are the rejects of the result.
        """

    def ids_of_fields(self, fields: Sequence[str]) -> Tuple[Int64, Float32]:
        """int64[F] ids and float32[F] weights of one row's texts, numbers first, without the label.

        Raises:
            RowRejected: a ValueError; the row breaks the format.
        """


def row_bytes(message: bytes, format: str, row: int) -> bytes:
    r"""Bytes of one row of a message, without the end of its line, as dead letters hold them.

    Raises:
        IndexError: the message has no such row.

    Example:
        >>> row_bytes(b"0\t1\n1\t2\n", "block", 1)
        b'1\t2'
    """
    check_format(format)
    rows = split_rows(message, format)
    if not 0 <= row < len(rows):
        raise IndexError(f"row {row} of a message of {len(rows)} rows")
    return rows[row]


def _load_dictionary(config: FeatureConfig) -> Optional[Dictionary]:
    if config.dictionary:
        for key in ("max_dict", "min_dict", "map_dict"):
            if getattr(config, key):
                raise FeatureConfigError(f"{key}: {getattr(config, key)}, expected none beside dictionary")
        return load_dictionary_file(config.dictionary, config.dense_dim, config.slot_dim)
    if config.max_dict and config.min_dict and config.map_dict:
        return load_dictionary(config.max_dict, config.min_dict, config.map_dict, config.dense_dim, config.slot_dim)
    for key in ("max_dict", "min_dict", "map_dict"):
        if getattr(config, key):
            raise FeatureConfigError(
                f"{key}: {getattr(config, key)}, expected all of max_dict, min_dict and map_dict or none of them"
            )
    return None


def make_spec(config: FeatureConfig, dictionary: Optional[Dictionary]) -> FeatureSpec:
    """The spec of a configuration and its dictionary, if any."""
    return FeatureSpec(
        dense_dim=config.dense_dim,
        slot_dim=config.slot_dim,
        numeric_transform=config.numeric_transform or ("log1p" if dictionary is None else "minmax"),
        id_rule="hash-v1" if dictionary is None else "dict-v1",
        hash_seed=config.hash_seed,
        dictionary_digest=None if dictionary is None else dictionary.digest,
    )


def make_engine(config: FeatureConfig) -> FeatureEngine:
    """The engine of a configuration; reads its dictionaries.

    Raises:
        FeatureConfigError: settings that do not go together, or a dictionary file that is missing or bad.

    Example:
        >>> engine = make_engine(FeatureConfig(dense_dim=1, slot_dim=1))
        >>> features = engine.transform([b"1\\t0\\tblue\\n0\\t\\tred\\n2\\t0\\tred\\n"], "block")
        >>> features.ids.shape, features.weights.tolist(), features.reject_row.tolist()
        ((2, 2), [[0.0, 1.0], [0.0, 1.0]], [2])
    """
    dictionary = _load_dictionary(config)
    encoding = make_encoding(make_spec(config, dictionary), dictionary)
    if config.engine == "pandas":
        from mindspore_rec.features.pandas_engine import PandasEngine  # a third of a second nobody else needs

        return PandasEngine(encoding)
    return NumbaEngine(encoding)
