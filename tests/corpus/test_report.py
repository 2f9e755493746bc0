"""What reading did: counted by kind and file, the first rows named."""

from pathlib import Path

from rnr.corpus.formats.examples import REPEATED
from rnr.corpus.loading import load
from rnr.corpus.report import SHOWN, Reading, Report
from scripts.data import main

KIND = "mentions were turned round"


def test_notes_of_a_kind_are_counted_by_file_and_the_first_rows_named() -> None:
    report = Report()
    for number in range(1, 8):
        report.note(KIND, Path("a.jsonl"), number, f"'x{number}'")
    report.note(KIND, Path("b.jsonl"), times=3)
    first, second = report.lines()
    assert first == (
        "a.jsonl: 7 mentions were turned round (row 1: 'x1'; row 2: 'x2'; row 3: 'x3'; row 4: 'x4'; row 5: 'x5'; ...)"
    )
    assert second == "b.jsonl: 3 mentions were turned round"
    assert (SHOWN, report.times(KIND), report.times("nothing")) == (5, 10, 0)


def test_all_rows_of_a_short_list_are_named() -> None:
    reading = Reading()
    reading.note(KIND, Path("a.jsonl"), 4)
    assert list(reading.report.lines()) == ["a.jsonl: 1 mentions were turned round (row 4)"]


def test_a_mention_annotated_more_often_than_it_occurs_is_counted_by_load_and_by_check(
    tmp_path, capsys, caplog
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "Ada", "entities": [{"text": "Ada", "label": "x"}, {"text": "Ada", "label": "x"}]}\n')
    said = f"{file}: 1 {REPEATED}"
    load([str(file)], training=True)
    assert f"data: {said} (row 1: 'Ada' as x)" in caplog.text
    assert main(["check", str(file)]) == 0
    assert f"note: {said}" in capsys.readouterr().out
