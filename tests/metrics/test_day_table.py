"""The table of a day: its lines, and what is blank."""

from __future__ import annotations

from mindspore_rec.metrics.day_table import HEADER, day_table, day_tables
from mindspore_rec.metrics.pass_metrics import PassMetrics, PassSummary
from mindspore_rec.metrics.pass_records import PassRecord

SUMMARY = PassSummary(1_234_567, 0.71, 0.02, 0.3, 0.4, 0.25, 0.2, 1.25, 0.5)
NUMBERS = ["1,234,567", "0.7100", "0.6000", "0.5000", "0.3000", "0.4000", "0.2500", "0.2000", "1.2500", "0.0200"]


def test_a_line_for_each_pass_and_one_for_the_day() -> None:
    records = [PassRecord("20190720", number, "Train", 1, SUMMARY, 0.6) for number in (1, 24)]
    lines = day_table([*records, PassRecord("20190720", None, "Train", 2, SUMMARY, 0.6)]).splitlines()
    assert lines[0].startswith("20190720 Train")
    assert lines[1].replace("  ", "|").replace("||", "|").strip("|").split("|")[0] == "pass"
    assert all(name in lines[1] for name in HEADER)
    assert [line.split() for line in lines[2:]] == [["1", *NUMBERS], ["24", *NUMBERS], ["day", *NUMBERS]]
    assert len({len(line) for line in lines[1:]}) == 1


def test_stages_have_tables_of_their_own() -> None:
    records = [PassRecord("20190720", 1, stage, 1, SUMMARY, 0.6) for stage in ("Train", "Infer")]
    lines = day_table(records).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("2019")] == ["Infer:", "Train:"]
    assert len(lines) == 6


def test_what_is_not_there_is_blank() -> None:
    line = day_table([PassRecord("20190720", 1, "Infer", 1, PassMetrics().summary())]).splitlines()[2]
    assert line.split() == ["1", "0", "0.5000", "0.0000"]  # rows, AUC and bucket error
    with_numbers = day_table([PassRecord("20190720", 1, "Infer", 1, SUMMARY)]).splitlines()[1:]
    assert with_numbers[1].split() == ["1", *NUMBERS[:2], *NUMBERS[3:]]
    gauc = slice(with_numbers[0].index("GAUC"), with_numbers[0].index("GAUC") + 4)
    assert with_numbers[1][gauc].strip() == ""


def test_days_are_apart() -> None:
    records = [PassRecord(day, 1, "Infer", 1, SUMMARY) for day in ("20190720", "20190721")]
    assert day_tables(records) == [day_table(records[:1]), day_table(records[1:])]
    assert day_tables([]) == []
