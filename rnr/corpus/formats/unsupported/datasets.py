"""Rows of data sets and services that are recognised and not read: most have no gold entities, or no text."""

from typing import Any

from rnr.corpus.formats.entities.plain_rows import TEXTS
from rnr.corpus.formats.field_names import TOKENS
from rnr.corpus.formats.refusals import BEGINS, WRITE_OFFSETS, any_has, is_entity_alone, refused, refused_once
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shapes import has

_GLINER2 = {"classifications", "relations", "json_structures", "structures"}
_SPANS = "write {'tokens': [...], 'entities': [{'start', 'end', 'type'}]}, ends exclusive"

DATASETS = (
    refused(
        "a project of Azure's conversations",
        "write each of its 'utterances' as a row of its own: they are read as they are",
        lambda row: has(row, assets=dict) and has(row["assets"], utterances=list),
        "assets",
    ),
    refused(
        "a manifest of SageMaker whose text is in another file",
        "put the text of 'source-ref' beside its entities: " + WRITE_OFFSETS,
        lambda row: isinstance(row, dict) and isinstance(row.get("source-ref"), str),
        "source-ref",
    ),
    refused(
        "an answer of Google's Natural Language service with its document",
        f"of 'document.content' and all 'mentions' of its entities {WRITE_OFFSETS}",
        lambda row: has(row, document=dict, entities=list) and any_has(row["entities"], "mentions"),
        "document",
    ),
    refused(
        "what a pipeline of transformers gives",
        "it has no text: put the list beside that, {'text': ..., 'entities': [...]}, run with "
        'aggregation_strategy="simple"',
        lambda row: _of_pipeline(row) or (isinstance(row, list) and bool(row) and all(map(_of_pipeline, row))),
    ),
    refused_once(
        "a table with an entity a row, without the texts that these are in",
        "put those of a text into one row with it: {'text': ..., 'entities': [[start, end, label], ...]}",
        lambda row: is_entity_alone(row) and row.keys().isdisjoint(TEXTS) and row.keys().isdisjoint(TOKENS),
        *BEGINS,
    ),
    refused(
        "a document of gatenlp",
        f"of the 'annotations' of one of its 'annotation_sets' {WRITE_OFFSETS}",
        lambda row: has(row, text=str, annotation_sets=dict),
        "annotation_sets",
    ),
    refused(
        "RDF as JSON-LD (NIF, Web Annotation)",
        WRITE_OFFSETS,
        lambda row: isinstance(row, dict) and bool(row.keys() & {"@context", "@graph"}),
        "@context",
        "@graph",
    ),
    refused(
        "a phrase in pieces (Snips, Dialogflow)",
        f"put the pieces together: {WRITE_OFFSETS}",
        lambda row: _in_pieces(row) or (isinstance(row, dict) and len(row) == 1 and _lists_pieces(*row.values())),
    ),
    refused(
        "an intent of Dialogflow",
        f"put the 'parts' of each of its 'trainingPhrases' together: {WRITE_OFFSETS}",
        lambda row: has(row, trainingPhrases=list),
        "trainingPhrases",
    ),
    refused(
        "a task of InstructUIE",
        "its answers are prose: take the data set it was made of, or write {'text': ..., 'entities': [...]}",
        lambda row: has(row, Instances=list),
        "Instances",
    ),
    refused(
        "a row of GLiNER2 without entities",
        "it has other tasks alone; leave it out",
        lambda row: has(row, input=str, output=dict) and bool(row["output"]) and row["output"].keys() <= _GLINER2,
        "output",
    ),
    refused(
        "TACRED",
        "it has relations between two of a sentence's entities, and the tags of 'stanford_ner' are what a tagger found",
        lambda row: has(row, token=list, subj_start=int, obj_start=int),
        "subj_start",
    ),
    refused(
        "KILT",
        "it has questions and links, and marks one mention at most in its 'input'",
        lambda row: has(row, input=str, output=list) and any_has(row["output"], "provenance"),
        "output",
    ),
    refused(
        "the rows of an event extractor (ACE)",
        f"of each of its 'golden-entity-mentions' {_SPANS}",
        lambda row: has(row, words=list) and "golden-entity-mentions" in row,
        "golden-entity-mentions",
    ),
    refused(
        "rows of text to structure (UIE)",
        f"of its 'entity', whose 'offset' lists tokens, {_SPANS}",
        lambda row: has(row, tokens=list, entity=list, spot=list),
        "spot",
    ),
    refused(
        "rows of relations between texts",
        "they have no label for an entity",
        lambda row: has(row, text=str, triple_list=list) and "entities" not in row,
        "triple_list",
    ),
    refused(
        "documents with the spans of their sentences",
        f"of each sentence {_SPANS}",
        lambda row: has(row, sentences=list, ners=list),
        "ners",
    ),
    refused(
        "an older CAS in JSON (INCEpTION, WebAnno)",
        "export the project as 'WebAnno TSV v3.3' or 'CoNLL 2002'",
        lambda row: has(row, _views=dict, _referenced_fss=dict),
        "_views",
    ),
    refused(
        "a row of Labelbox",
        f"of the 'objects' of its labels, whose 'location' has an inclusive end, {WRITE_OFFSETS}",
        lambda row: has(row, data_row=dict, projects=dict) or (has(row, Label=dict) and "Labeled Data" in row),
        "data_row",
        "Label",
    ),
    refused(
        "an export of MedCAT's trainer",
        f"of the 'annotations' of each of its 'documents', without the deleted and the killed ones, {WRITE_OFFSETS}",
        lambda row: has(row, projects=list) and any_has(row["projects"], "documents"),
        "projects",
    ),
    refused(
        "documents of Haystack with entities that a model found",
        f"of 'named_entities' in their 'meta' {WRITE_OFFSETS}",
        lambda row: has(row, content=str, meta=dict) and "named_entities" in row["meta"],
        "meta",
    ),
    refused(
        "an answer of TextRazor",
        "it has no text; add it, and " + WRITE_OFFSETS,
        lambda row: has(row, response=dict) and "entities" in row["response"],
        "response",
    ),
    refused(
        "an answer of DBpedia Spotlight",
        f"of its 'Resources', a place being '@offset' and the length of '@surfaceForm', {WRITE_OFFSETS}",
        lambda row: has(row, Resources=list) and "@text" in row,
        "Resources",
    ),
    refused(
        "rows made ready for a model, with numbers in the place of words",
        "take the data set before it was tokenised",
        lambda row: has(row, input_ids=list),
        "input_ids",
    ),
    refused(
        "a project of Colabeler",
        f"of its 'content' and of 'outputs.annotation.T' {WRITE_OFFSETS}",
        lambda row: has(row, outputs=dict, content=str) and has(row["outputs"], annotation=dict),
        "outputs",
    ),
    refused(
        "annotated pictures (COCO)",
        "it has no texts",
        lambda row: has(row, images=list, annotations=list, categories=list),
        "images",
    ),
    refused(
        "words with their tags in pairs (NLTK, sklearn-crfsuite)",
        "write {'tokens': [...], 'ner_tags': [...]} of each sentence",
        lambda row: isinstance(row, list) and bool(row) and all(map(_is_tagged_word, row)),
    ),
    refused(
        "a list of words beside one of tags",
        "write {'tokens': [...], 'ner_tags': [...]} of each sentence",
        lambda row: isinstance(row, list) and len(row) == 2 and all(map(_is_list_of_texts, row)) and _are_tagged(*row),
    ),
)


def _is_tagged_word(value: Any) -> bool:
    return _is_list_of_texts(value) and 2 <= len(value) <= 4


def _is_list_of_texts(value: Any) -> bool:
    return bool(value) and are_texts(value)


def _are_tagged(words: list[str], tags: list[str]) -> bool:
    """Whether there is a tag for each word, of which one at least shows that it is one."""
    return len(words) == len(tags) and any(tag == "O" or tag[1:2] in ("-", "_") for tag in tags)


def _of_pipeline(value: Any) -> bool:
    """Whether a value is an entity with its place and without a text around it."""
    return has(value, word=str, start=int, end=int) and bool(value.keys() & {"entity", "entity_group"})


def _in_pieces(row: Any) -> bool:
    """Whether a row has a text in pieces, of which some have a label."""
    if not has(row, data=list) or not row["data"] or not all(has(piece, text=str) for piece in row["data"]):
        return False
    return any(
        isinstance(piece.get(name), str) for piece in row["data"] for name in ("entity", "slot_name", "alias")
    ) and not any_has(row["data"], "entities")


def _lists_pieces(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_in_pieces, value))
