"""Frames of one partition that wait for their turn, passed row by row."""

from __future__ import annotations

from collections import deque
from typing import Deque, Tuple

from mindspore_rec.stream.frame import Frame, RowPositions
from mindspore_rec.stream.position import RowPosition


class FrameQueue:
    """Frames that came, how far they are passed, and rejects that wait for a row to pass with.

    Attributes:
        place: position after the rows passed.
        frames: frames not used up, the first one perhaps in part.
        passed: rows of the first frame that are passed or wait as rejects.
        taken: kept rows of the first frame that are taken.
        rejects: rejects that wait.
        after_rejects: position after them.
        finished: whether no frame will follow.
        high: offset after the newest message heard of.
        released: frames used up and not yet given back.
    """

    def __init__(self, place: RowPosition) -> None:
        self.place = place
        self.frames: Deque[Tuple[Frame, RowPositions]] = deque()
        self.passed = 0
        self.taken = 0
        self.rejects = 0
        self.after_rejects = place
        self.finished = False
        self.high = 0
        self.released = 0

    @property
    def has_rows(self) -> bool:
        """Whether the first frame has a kept row to take."""
        return bool(self.frames) and self.taken < self.frames[0][1].kept.shape[0]

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left and nothing will follow."""
        return self.finished and not self.frames

    def gather_rejects(self, limit: int) -> None:
        """Take note of rejects up to the next kept row, at most ``limit`` of them, and drop frames used up."""
        while self.frames and not self.has_rows:
            rows = self.frames[0][1]
            total = rows.offset.shape[0]
            count = min(total - self.passed, limit - self.rejects)
            if count > 0:
                self.rejects += count
                self.passed += count
                self.after_rejects = rows.after(self.passed - 1)
            if self.passed < total:
                return
            self.frames.popleft()
            self.passed = self.taken = 0
            self.released += 1

    def advance(self, passed: int, taken: int) -> int:
        """Pass the first frame's rows up to ``passed``, of them ``taken`` kept; returns the rejects passed."""
        rejects = self.rejects + passed - self.passed - taken
        self.rejects = 0
        self.passed = passed
        self.taken += taken
        self.place = self.frames[0][1].after(passed - 1)
        return rejects

    def drop_rejects(self) -> int:
        """Pass the rejects that wait; returns how many."""
        rejects, self.rejects = self.rejects, 0
        if rejects:
            self.place = self.after_rejects
        return rejects
