"""The files of a pass: whether its splits are there, on any filesystem, and what is read from them.

`ready_parts` asks the first, one look at a time; the second is `list_part` of each split.
"""

from __future__ import annotations

import logging
from typing import List

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.part_folder import PartFile, list_part, path_kind
from mindspore_rec.stream.ready_parts import Part

logger = logging.getLogger(__name__)


class PartFolders:
    """The `Folders` that ``list_part`` lists: local, or on any filesystem that fsspec opens."""

    def is_folder(self, path: str) -> bool:
        """Whether there is such a folder; False with a warning where the filesystem cannot say.

        Raises:
            ConfigError: the filesystem cannot be opened.
        """
        return self._kind(path) == "directory"

    def is_file(self, path: str) -> bool:
        """Whether there is such a file; False with a warning where the filesystem cannot say: it is asked again.

        Raises:
            ConfigError: the filesystem cannot be opened.
        """
        return self._kind(path) == "file"

    def _kind(self, path: str) -> str:
        try:
            return path_kind(path)
        except ConfigError:
            raise
        except UserError as error:
            logger.warning("%s", error)
            return ""


def list_pass(part: Part, donefile: str = "") -> List[PartFile]:
    """Files with rows of a pass: those of its splits as ``list_part`` gives them, one split behind the other.

    Args:
        part: days, pass and split folders.
        donefile: name of the file that says that a split is complete; empty where there is none.

    Raises:
        ConfigError: the filesystem cannot be opened.
        UserError: a split folder is not there or cannot be read, or holds too many files.
    """
    files = [file for folder in part.folders for file in list_part(folder, donefile)]
    if not files:
        logger.warning("Day:%s, Pass: %s, no data files in its folders", part.key.day, part.key.number)
    return files
