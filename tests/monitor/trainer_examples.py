"""Figures of a trainer for the tests of monitors."""

from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES, TrainerFigures


def all_figures(rows=1000, event_time=-1):
    """All there are, each another number, with two tables."""
    values = {figure.name: float(number) for number, figure in enumerate(FIGURES, 1)}
    tables = {
        table: {figure.name: float(100 * place + number) for number, figure in enumerate(TABLE_FIGURES)}
        for place, table in enumerate(("deep", "wide"), 1)
    }
    return TrainerFigures(rows, event_time, {**values, "rows": float(rows)}, tables)
