"""The feature spec: everything that decides which ids and weights a raw row becomes.

Consumer, trainer and predictor compare ``digest()``; two specs with the same digest turn the same row into the same ids
and weights.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Optional

from mindspore_rec.features.errors import FeatureConfigError

ID_RULES = ("hash-v1", "dict-v1")
NUMERIC_TRANSFORMS = ("log1p", "minmax")


@dataclass(frozen=True)
class FeatureSpec:
    """Columns, number scaling and id rule of a data set.

    A row is a label, ``dense_dim`` numbers and ``slot_dim`` categories.

    Attributes:
        name: data set name.
        version: version of the row layout and the rules in ``docs/feature_spec.md``.
        dense_dim: number fields, ``I1 ..``.
        slot_dim: category fields, ``C1 ..``.
        numeric_transform: ``log1p`` or ``minmax`` (which needs dictionaries).
        id_rule: ``hash-v1`` or ``dict-v1``.
        hash_seed: seed of rule ``hash-v1``, 0 to 2**32 - 1; 0 with ``dict-v1``.
        dictionary_digest: digest of the dictionaries' content; None with ``hash-v1``.

    Raises:
        FeatureConfigError: a field is out of range, or two fields do not go together.

    Example:
        >>> spec = FeatureSpec()
        >>> spec.num_fields, spec.num_columns
        (39, 40)
        >>> FeatureSpec.from_json(spec.to_json()) == spec
        True
        >>> spec.digest() == FeatureSpec(hash_seed=1).digest()
        False
    """

    name: str = "criteo"
    version: int = 1
    dense_dim: int = 13
    slot_dim: int = 26
    numeric_transform: str = "log1p"
    id_rule: str = "hash-v1"
    hash_seed: int = 0
    dictionary_digest: Optional[str] = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise FeatureConfigError(f"name: {self.name!r}, expected a non-empty string")
        for key, low, high in (
            ("version", 1, 1),
            ("dense_dim", 0, 1000),
            ("slot_dim", 1, 1000),
            ("hash_seed", 0, 2**32 - 1),
        ):
            value = getattr(self, key)
            if type(value) is not int or not low <= value <= high:
                raise FeatureConfigError(f"{key}: {value!r}, expected an integer from {low} to {high}")
        if self.numeric_transform not in NUMERIC_TRANSFORMS:
            raise FeatureConfigError(f"numeric_transform: {self.numeric_transform!r}, expected log1p or minmax")
        if self.id_rule not in ID_RULES:
            raise FeatureConfigError(f"id_rule: {self.id_rule!r}, expected hash-v1 or dict-v1")
        if self.id_rule == "dict-v1":
            if not isinstance(self.dictionary_digest, str):
                raise FeatureConfigError("dictionary_digest: missing, expected one with id_rule dict-v1")
            if self.hash_seed != 0:
                raise FeatureConfigError(f"hash_seed: {self.hash_seed}, expected 0 where dictionaries give the ids")
        elif self.dictionary_digest is not None:
            raise FeatureConfigError("dictionary_digest: given, expected none with id_rule hash-v1")
        elif self.numeric_transform == "minmax":
            raise FeatureConfigError(
                "numeric_transform: minmax, expected log1p without dictionaries (max_dict, min_dict, map_dict)"
            )

    @property
    def num_fields(self) -> int:
        """Ids in a row."""
        return self.dense_dim + self.slot_dim

    @property
    def num_columns(self) -> int:
        """Columns in a raw row, the label among them."""
        return 1 + self.num_fields

    def to_json(self) -> str:
        """The canonical JSON text: keys sorted, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what ``to_json`` wrote; FeatureConfigError for anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise FeatureConfigError(f"feature spec: not JSON ({error})") from None
        expected = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or sorted(values) != sorted(expected):
            raise FeatureConfigError(f"feature spec: {text[:200]!r}, expected an object with {', '.join(expected)}")
        return cls(**values)

    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]
