"""The spaCy component, over a model that is a function."""

import queue
import threading
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from rnr.task.extraction import Entity, Extraction

spacy = pytest.importorskip("spacy", reason="spaCy is an optional extra")


class _Model:
    """Finds each ``Ada`` and ``Rome``."""

    def __call__(self, text: str, labels) -> Extraction:
        found = [("Ada", "person", 0.9), ("Rome", "city", None)]
        entities = tuple(
            Entity(
                text=word,
                label=label,
                start=text.find(word),
                end=text.find(word) + len(word),
                confidence=confidence,
                alignment="marked",
            )
            for word, label, confidence in found
            if word in text and label in labels
        )
        return Extraction(sentence=text, entities=entities, reasoning=f"about {text}")

    def stream(self, questions):
        return (self(text, labels) for text, labels in questions)


@pytest.fixture
def nlp(monkeypatch):
    loads: list[dict] = []
    import_module("actors.spacy_component")
    monkeypatch.setattr("actors.loading.load", lambda model, **options: loads.append(options) or _Model())
    pipeline = spacy.blank("en")
    pipeline.add_pipe("rnr", config={"model": "m", "labels": ["person", "city"], "threshold": 0.4})
    assert loads == []  # the model is loaded with the first text
    yield pipeline
    assert len(loads) == 1
    assert (loads[0]["engine"], loads[0]["threshold"]) == ("transformers", 0.4)


def test_entities_carry_label_confidence_and_reasoning(nlp) -> None:
    doc = nlp("Ada saw Rome.")
    assert [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents] == [
        ("Ada", "person", 0.9),
        ("Rome", "city", None),
    ]
    assert doc._.reasoning == "about Ada saw Rome."
    html = spacy.displacy.render(doc, style="ent")
    assert "Rome" in html
    assert "city" in html


def test_a_stream_of_documents_keeps_its_order(nlp) -> None:
    docs = list(nlp.pipe(["Rome fell.", "nothing", "Ada ran."]))
    assert [[ent.text for ent in doc.ents] for doc in docs] == [["Rome"], [], ["Ada"]]


def test_documents_may_come_slowly(nlp) -> None:
    """The next one is waited for in the thread that asks, while an answer is given out."""
    component, waits = nlp.get_pipe("rnr"), []

    def slow():
        for text in ("Rome fell.", "nothing", "Ada ran."):
            waits.append(threading.current_thread())
            yield nlp.make_doc(text)
            assert handed_on.wait(5)
            handed_on.clear()

    def stream(questions):
        """As ``Extractor.stream``: questions are taken in another thread."""
        found: queue.Queue = queue.Queue()

        def ask() -> None:
            for text, labels in questions:
                found.put(_Model()(text, labels))
            found.put(None)

        threading.Thread(target=ask, daemon=True).start()
        return iter(found.get, None)

    handed_on = threading.Event()
    component.extractor.stream = stream
    given = []
    for doc in component.pipe(slow()):
        given.append([ent.text for ent in doc.ents])
        # Asked for the next document while the thread waits in the middle of the stream.
        threading.Timer(0.05, handed_on.set).start()
    assert given == [["Rome"], [], ["Ada"]]
    assert len(set(waits)) == 1


def test_an_entity_that_cuts_a_token_is_told(nlp) -> None:
    with pytest.warns(UserWarning, match="'Ada' is not whole spaCy tokens"):
        (ent,) = nlp("Adamant ideas.").ents
    assert ent.text == "Adamant"


def test_the_entry_point_names_the_factory() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["spacy_factories"]["rnr"].partition(":")
    assert callable(getattr(import_module(module), name))
    assert spacy.blank("en").has_factory("rnr")
