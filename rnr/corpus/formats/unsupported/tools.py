"""What is recognised and not read: each is named by what it looks like, with the way to something that is read."""

import re
from typing import Any

from rnr.corpus.formats.field_names import names_tags, names_words
from rnr.corpus.formats.refusals import any_has, refused, refused_once
from rnr.corpus.formats.shapes import has
from rnr.corpus.formats.shown_lists import shows_a_list
from rnr.corpus.formats.tables.by_column import SENTENCES, table_by_column

_TEXTS = ("text", "sentence", "content")
_ENTITY = ("entity", "mention", "span", "entity_text", "span_text")
_TAG = re.compile(r"O|[BIESLU]-\S+")


UNSUPPORTED = (
    refused(
        "a DataTurks row",
        "write {'text': content, 'entities': [[start, end + 1, label]]} of its 'points', whose ends are inclusive",
        lambda row: has(row, content=str, annotation=list) and any_has(row["annotation"], "points"),
        "annotation",
    ),
    refused(
        "a SageMaker Ground Truth manifest",
        "write {'text': source, 'entities': [[startOffset, endOffset, label]]} of its 'annotations.entities'",
        lambda row: has(row, source=str) and any(has(value, annotations=dict) for value in row.values()),
        "source",
    ),
    refused(
        "a Vertex AI (AutoML) row",
        "write {'text': textContent, 'entities': [[startOffset, endOffset, displayName]]} of 'textSegmentAnnotations'",
        lambda row: has(row, textSegmentAnnotations=list) or has(row, textSnippet=dict),
        "textSegmentAnnotations",
        "textSnippet",
    ),
    refused(
        "a Google AutoML row",
        "write {'text': text_snippet.content, 'entities': [[start_offset, end_offset, display_name]]}",
        lambda row: has(row, text_snippet=dict),
        "text_snippet",
    ),
    refused(
        "an answer of Google's Natural Language service or of IBM's Watson",
        "it has no text; add it as 'text', and as 'entities' a list of [start, end, type] for all mentions",
        lambda row: has(row, entities=list, language=str) and any_has(row["entities"], "mentions"),
        "language",
    ),
    refused(
        "an answer of Amazon Comprehend",
        "it has no text; add that of its line as 'text' beside its 'Entities'",
        lambda row: has(row, Entities=list) and row.keys().isdisjoint((*SENTENCES, "Text")),
        "Entities",
    ),
    refused(
        "a Snips data set",
        "write {'text': ..., 'entities': [[start, end, entity]]}, the pieces of each utterance's 'data' put together",
        lambda row: has(row, intents=dict),
        "intents",
    ),
    refused(
        "a Dialogflow phrase",
        "write {'text': ..., 'entities': [[start, end, alias]]}, the pieces of its 'data' put together",
        lambda row: has(row, data=list, isTemplate=bool),
        "isTemplate",
    ),
    refused(
        "BigBio's scheme",
        "write {'text': ..., 'entities': [[start, end, type]]}, the texts of its 'passages' put together",
        lambda row: has(row, passages=list, entities=list) and any_has(row["passages"], "offsets"),
        "passages",
    ),
    refused(
        "an answer of CoreNLP",
        "write {'tokens': [...], 'ner_tags': [...]} of the 'word' and 'ner' of each sentence's 'tokens'",
        lambda row: has(row, sentences=list) and any_has(row["sentences"], "tokens") and _of_corenlp(row),
        "sentences",
    ),
    refused(
        "a Datasaur document",
        "export it as 'CoNLL 2003' or 'TSV (IOB)'",
        lambda row: has(row, sentences=list) and _is_datasaur(row),
        "sentences",
    ),
    refused(
        "several sentences in a row",
        "write a row for each of them (a table by column is read where it is the only value of its file)",
        lambda row: _has_several(row),
        *SENTENCES,
        "columns",
    ),
    refused_once(
        "a table with a word a row",
        "write it as CSV (`to_csv` in pandas) with a column that numbers the sentences, or a row for each sentence "
        "with its 'tokens' and 'ner_tags'",
        lambda row: _is_word(row),
    ),
    refused_once(
        "a table with an entity a row",
        "put those of a text into one row: {'text': ..., 'entities': [[start, end, label], ...]}",
        lambda row: (
            (has(row, start=int, end=int, label=str) or any(has(row, label=str, **{name: str}) for name in _ENTITY))
            and any(has(row, **{name: str}) for name in _TEXTS)
        ),
        "start",
        *_ENTITY,
    ),
    refused(
        "a Kili asset",
        "write {'text': content, 'entities': [[beginOffset, endOffset, name]]} of its 'jsonResponse'",
        lambda row: has(row, labels=list) and any_has(row["labels"], "jsonResponse"),
        "labels",
    ),
    refused(
        "a SuperAnnotate document",
        "its text is in another file: write {'text': ..., 'entities': [[start, end, className]]} of its 'instances'",
        lambda row: has(row, metadata=dict, instances=list),
        "instances",
    ),
    refused(
        "an answer of Hugging Face's data set server",
        "its rows are cut: load the data set with `datasets` and save it as parquet or JSON lines",
        lambda row: has(row, features=list, rows=list),
        "features",
    ),
    refused(
        "a task of Label Studio that has predictions and no annotations",
        "accept or correct them there, and export it again",
        lambda row: has(row, data=dict, predictions=list) and "annotations" not in row,
        "predictions",
    ),
    refused(
        "a row that instructs a model (Alpaca, InstructUIE)",
        "its answer is no list: take the data set it was made of, or write {'text': ..., 'entities': [...]}",
        lambda row: has(row, Instance=dict) or (has(row, instruction=str, input=str, output=str) and _is_prose(row)),
        "Instance",
        "instruction",
    ),
    refused(
        "a row of PaddleNLP's UIE",
        "it has a row for each sentence and label: put those of a sentence together, 'prompt' being the label",
        lambda row: has(row, content=str, result_list=list, prompt=str),
        "result_list",
    ),
    refused(
        "GoLLIE's rows",
        "write {'text': ..., 'entities': [{'text': span, 'label': ...}]} of its sentence ('unlabelled_sentence', or "
        "that in 'text') and of the names in 'labels'",
        lambda row: has(row, unlabelled_sentence=str) or has(row, text=str, labels=str, scorer_cls=str),
        "unlabelled_sentence",
        "scorer_cls",
    ),
    refused(
        "a pattern of a spaCy or Prodigy matcher",
        "it has no sentence; annotate texts with it, and export these",
        lambda row: has(row, label=str, pattern=(str, list)),
        "pattern",
    ),
    refused(
        "a sentence of Stanza",
        "write {'tokens': [...], 'ner_tags': [...]} of the 'text' and 'ner' of its words",
        lambda row: isinstance(row, list) and bool(row) and all(has(word, text=str, ner=str) for word in row),
    ),
    refused(
        "DocRED",
        "write {'tokens': ..., 'entities': [{'start', 'end', 'type'}]} of each of its 'sents', ends exclusive",
        lambda row: has(row, sents=list, vertexSet=list),
        "vertexSet",
    ),
    refused(
        "questions for reading comprehension (MRC)",
        "it has a row for each sentence and label; put those of a sentence together",
        lambda row: has(row, context=str, start_position=list),
        "start_position",
    ),
    refused(
        "an episode of Few-NERD",
        "take its supervised files, or write {'tokens': word, 'ner_tags': label} of each sentence",
        lambda row: has(row, support=dict, query=dict),
        "support",
    ),
    refused(
        "a UBIAI export",
        "write {'text': document, 'entities': [[start, end, entityLabel]]} of its 'tokens'",
        lambda row: has(row, document=str, tokens=list) and any_has(row["tokens"], "entityLabel"),
        "document",
    ),
    refused(
        "W2NER's rows",
        "write {'tokens': sentence, 'entities': [{'start', 'end', 'type'}]}, 'index' being from start to end",
        lambda row: has(row, sentence=list, ner=list) and any_has(row["ner"], "index"),
        "ner",
    ),
    refused(
        "Rasa training data",
        "write {'text': text, 'entities': [[start, end, entity]]} of each of its 'common_examples'",
        lambda row: has(row, rasa_nlu_data=dict),
        "rasa_nlu_data",
    ),
    refused(
        "a LightTag export",
        "write {'text': content, 'entities': [[start, end, tag]]} of each of its 'examples'",
        lambda row: has(row, examples=list) and any_has(row["examples"], "annotations"),
        "examples",
    ),
    refused(
        "an Azure AI Language project",
        "its texts are in other files: write {'text': text, 'entities': [{'offset', 'length', 'category'}]} of each",
        lambda row: (
            (has(row, projectFileVersion=str) or (has(row, assets=dict) and "metadata" in row))
            and not any_has([row.get("assets")], "utterances")
        ),
        "projectFileVersion",
        "assets",
    ),
    refused(
        "an answer of Azure's service",
        "it has no text; add each document's as 'text' beside its 'entities'",
        lambda row: (
            has(row, documents=list) and any_has(row["documents"], "entities") and not any_has(row["documents"], "text")
        ),
        "documents",
    ),
    refused(
        "a DyGIE++ document",
        "write {'tokens': tokens, 'entities': [{'start', 'end', 'type'}]} of each of its sentences, ends exclusive",
        lambda row: has(row, sentences=list) and isinstance(row.get("ner", row.get("predicted_ner")), list),
        "sentences",
    ),
    refused(
        "a chat for fine-tuning",
        "the answer of an assistant has no format that is known; write {'text': ..., 'entities': [...]}",
        lambda row: has(row, messages=list) or has(row, contents=list) or has(row, prompt=str, completion=str),
        "messages",
        "contents",
        "completion",
    ),
    refused(
        "SQuAD",
        "it has questions about paragraphs and no entities",
        lambda row: has(row, paragraphs=list) and any_has(row["paragraphs"], "qas"),
        "paragraphs",
    ),
    refused(
        "a tagtog annotation",
        "its text is in another file: write {'text': text, 'entities': [[start, start + len(text), classId]]}",
        lambda row: has(row, annotatable=dict),
        "annotatable",
    ),
    refused(
        "a Jupyter notebook",
        "write the data that it holds or makes to a file of its own",
        lambda row: has(row, cells=list, nbformat=int),
        "nbformat",
    ),
    refused(
        "an INCEpTION or UIMA CAS",
        "export the project as 'WebAnno TSV v3.3' or 'CoNLL 2002'",
        lambda row: isinstance(row, dict) and "%FEATURE_STRUCTURES" in row,
        "%FEATURE_STRUCTURES",
    ),
)


def _has_several(row: Any) -> bool:
    """Whether a row holds lists of sentences and of what is annotated in them."""
    try:
        return table_by_column(row) is not None
    except ValueError:
        return True


def _is_word(row: Any) -> bool:
    """Whether a row is one word with its tag."""
    if not isinstance(row, dict):
        return False
    cells = {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
    tags = (value for name, value in cells.items() if names_tags(name) and not names_words(name))
    words = (value for name, value in cells.items() if names_words(name))
    return any(" " not in word for word in words) and any(map(_TAG.fullmatch, tags))


def _of_corenlp(row: dict[str, Any]) -> bool:
    """Whether the tokens of sentences have tags, and these are not those of a document of Stanza, which has its
    entities beside them."""
    tokens = [one["tokens"] for one in row["sentences"] if has(one, tokens=list)]
    return any(any_has(one, "ner") for one in tokens) and not has(row, text=str, ents=list)


def _is_datasaur(row: dict[str, Any]) -> bool:
    return any(has(sentence, content=str, labels=list) for sentence in row["sentences"])


def _is_prose(row: dict[str, Any]) -> bool:
    """Whether the answer of a row is no list that can be read."""
    return not (shows_a_list(row["output"]) or " <> " in row["output"] or row.keys() & {"entities", "spans", "label"})
