"""What is raised where a checkpoint cannot be used."""

from __future__ import annotations

from mindspore_rec.config import UserError


class CheckpointError(UserError):
    """A checkpoint is damaged, incomplete, or not what it was expected to be."""
