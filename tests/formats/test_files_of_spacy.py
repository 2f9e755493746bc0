"""``.spacy`` files: entities, groups of spans, and what nobody has annotated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rnr.corpus.formats.entities.plain_rows import GROUPS
from tests.reading_files import ADA, BO, read

spacy = pytest.importorskip("spacy")
tokens = pytest.importorskip("spacy.tokens")

Spans = Sequence[tuple[int, int, str]]


def _document(text: str, entities: Spans | None = None, **groups: Spans) -> Any:
    document = spacy.blank("en")(text)
    if entities is not None:
        document.ents = [document.char_span(start, end, label=label) for start, end, label in entities]
    for name, spans in groups.items():
        document.spans[name] = [document.char_span(start, end, label=label) for start, end, label in spans]
    return document


def _file(folder: Path, *documents: Any) -> Path:
    tokens.DocBin(docs=documents, store_user_data=True).to_disk(folder / "a.spacy")
    return folder / "a.spacy"


def test_a_document_without_an_entity_is_read_and_one_that_nobody_annotated_is_an_error(tmp_path) -> None:
    file = _file(tmp_path, _document("Ada ran", [(0, 3, "PER")]), _document("Bo sat", []), _document("Cy sat"))
    found, problems, _ = read(file)
    assert found == [ADA, ("Bo sat", [])]
    assert "row 3: 'Cy' was not annotated (spaCy: missing); set doc.ents = [], or leave the document out" in problems


def test_a_token_that_nobody_annotated_is_an_error_of_its_document(tmp_path) -> None:
    document = _document("Ada met Bo", [(0, 3, "PER")])
    document.set_ents(list(document.ents), missing=[document[2:3]])
    assert "row 1: 'Bo' was not annotated" in read(_file(tmp_path, document))[1]


def test_the_one_group_of_spans_stands_for_entities_that_are_nowhere(tmp_path) -> None:
    nested = _document("Ada Byron ran", sc=[(0, 3, "PER"), (0, 9, "PER")])
    found, problems, notes = read(_file(tmp_path, nested, _document("Bo sat", sc=[]), _document("Cy sat")))
    assert found == [("Ada Byron ran", [("Ada Byron", "PER"), ("Ada", "PER")]), ("Bo sat", [])]
    assert "row 3: it has no group 'sc'" in problems
    assert "read are the spans of its group 'sc'" in notes


def test_several_groups_of_spans_are_refused(tmp_path) -> None:
    file = _file(tmp_path, _document("Ada ran", one=[(0, 3, "PER")], two=[(4, 7, "V")]))
    assert "several groups of spans (one, two)" in read(file)[1]


def test_groups_of_spans_beside_entities_are_noted(tmp_path) -> None:
    file = _file(
        tmp_path, _document("Ada ran", [(0, 3, "PER")], sc=[(4, 7, "V")]), _document("Bo sat", [(0, 2, "PER")])
    )
    found, problems, notes = read(file)
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {GROUPS} (row 1: sc)" in notes
