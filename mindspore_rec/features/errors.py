"""The error of a feature configuration a user can put right."""

from __future__ import annotations


class FeatureConfigError(ValueError):
    """A bad feature setting or dictionary file. The message is one line: key, value, what was expected."""
