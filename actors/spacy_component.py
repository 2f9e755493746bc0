"""The spaCy component ``rnr``: ``nlp.add_pipe("rnr", config={"model": FOLDER, "labels": [...]})``.

It sets ``doc.ents``, ``span._.confidence``, ``span._.alignment`` and ``doc._.reasoning``. The model is loaded with the
first text. spaCy finds it by itself where RNR is installed; else ``import actors.spacy_component`` first.
"""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from actors.extractor import Extractor
from actors.question import Labels
from rnr.messages import counted
from rnr.task.extraction import Extraction

SETTINGS: dict[str, Any] = {
    "engine": "transformers",
    "threshold": None,
    "samples": 1,
    "select": None,
    "decoding": None,
    "options": {},
}


@Language.factory("rnr", assigns=["doc.ents", "span._.confidence", "doc._.reasoning"], default_config=SETTINGS)
def make_rnr(
    nlp: Language,
    name: str,
    model: str,
    labels: list[str] | dict[str, str],
    engine: str,
    threshold: float | dict[str, float] | None,
    samples: int,
    select: str | None,
    decoding: str | None,
    options: dict[str, Any],
) -> "RnrComponent":
    """The component; ``options`` are further ones of ``rnr.load``."""
    asked = {"threshold": threshold, "samples": samples, "select": select, "decoding": decoding}
    return RnrComponent(model, labels, {"engine": engine, **asked, **options})


class RnrComponent:
    """Asks one model about each text."""

    def __init__(self, model: str, labels: Labels, options: dict[str, Any]) -> None:
        self._model, self._labels, self._options = model, labels, options
        self._extractor: Extractor | None = None
        for kind, names in ((Span, ("confidence", "alignment")), (Doc, ("reasoning",))):
            for name in names:
                if not kind.has_extension(name):
                    kind.set_extension(name, default=None)

    @property
    def extractor(self) -> Extractor:
        """The model, loaded when it is first asked for."""
        if self._extractor is None:
            from actors.loading import load

            self._extractor = load(self._model, **self._options)
        return self._extractor

    def __call__(self, doc: Doc) -> Doc:
        """The document with its entities."""
        return self._annotate(doc, self.extractor(doc.text, self._labels))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 0) -> Iterator[Doc]:
        """The documents in their order; the engine makes its own batches, so ``batch_size`` is not needed."""
        asked: deque[Doc] = deque()

        def questions() -> Iterator[tuple[str, Labels]]:
            for doc in stream:  # in another thread, the only one that may read the stream
                asked.append(doc)
                yield doc.text, self._labels

        for found in self.extractor.stream(questions()):
            yield self._annotate(asked.popleft(), found)

    def _annotate(self, doc: Doc, found: Extraction) -> Doc:
        spans: list[Span] = []
        for entity in found.entities:
            # spaCy's entities are whole tokens of spaCy's.
            span = doc.char_span(entity.start, entity.end, label=entity.label, alignment_mode="expand")
            if span is None or span.text != entity.text:
                given = span.text if span is not None else ""
                warnings.warn(f"rnr: {entity.text!r} is not whole spaCy tokens; expanded to {given!r}", stacklevel=2)
            if span is not None:
                span._.confidence, span._.alignment = entity.confidence, entity.alignment
                spans.append(span)
        kept = filter_spans(spans)
        if len(kept) < len(spans):
            warnings.warn(
                f"rnr: left out because of overlaps: {counted(len(spans) - len(kept), 'entity', 'entities')}",
                stacklevel=2,
            )
        doc.set_ents(kept)
        doc._.reasoning = found.reasoning
        return doc
