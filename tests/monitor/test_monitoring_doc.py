"""docs/monitoring.md names what there is."""

import re

from mindspore_rec.config import MonitorConfig
from mindspore_rec.monitor.tensorboard import AXES, tag
from mindspore_rec.monitor.trainer_figures import FIGURES, TABLE_FIGURES
from mindspore_rec.monitor.trainer_metrics import PREFIX, STEP_SECONDS, metric_name
from tests.source_tree import REPOSITORY

TEXT = (REPOSITORY / "docs" / "monitoring.md").read_text("utf-8")


def rows(heading):
    """Cells of the table under a line of headings."""
    table = TEXT.partition(heading)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_metrics_are_those_of_the_code():
    expected = {metric_name(figure): figure.help for figure in FIGURES}
    expected[metric_name(STEP_SECONDS)] = f"{STEP_SECONDS.help} (a histogram)"
    expected.update({f'{metric_name(figure)}{{table="..."}}': figure.help for figure in TABLE_FIGURES})
    assert {name.strip("`"): meaning for name, meaning in rows("| metric |")} == expected


def test_metrics_in_the_text_exist():
    known = {re.sub("{.*", "", name.strip("`")) for name, _ in rows("| metric |")}
    named = {re.sub("_(sum|count)$", "", name) for name in re.findall(rf"{PREFIX}\w+", TEXT)}
    assert named <= known


def test_keys_are_those_of_the_code():
    expected = [
        [f"`{key}`", "null" if field.default is None else str(field.default), field.description]
        for key, field in MonitorConfig.model_fields.items()
    ]
    assert rows("| key |") == expected


def test_scalars_are_those_of_the_code():
    expected = [tag(figure) for figure in FIGURES if figure.name not in AXES]
    expected += [tag(figure, "TABLE") for figure in TABLE_FIGURES]
    named = re.findall(r"`([^`]+)`", TEXT.partition("in groups:\n")[2])
    assert named == expected
