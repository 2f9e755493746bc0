"""What is recognised and not read: each is named by what it looks like, with the way to something that is read."""

from collections.abc import Callable
from typing import Any

from rnr.corpus.formats.shapes import Shape, Source, each, has


def _refused(name: str, advice: str, recognises: Callable[[Any], bool]) -> Shape:
    def refuse(_: Any, __: int, ___: Source) -> None:
        raise ValueError(f"this looks like {name}, which is not read: {advice}")

    return Shape(name=name, recognises=recognises, rows=each(refuse))


UNSUPPORTED = (
    _refused(
        "a DataTurks row",
        "write {'text': content, 'entities': [[start, end + 1, label]]} of its 'points', whose ends are inclusive",
        lambda row: has(row, content=str, annotation=list) and _any(row["annotation"], "points"),
    ),
    _refused(
        "a SageMaker Ground Truth manifest",
        "write {'text': source, 'entities': [[startOffset, endOffset, label]]} of its 'annotations.entities'",
        lambda row: has(row, source=str) and any(has(value, annotations=dict) for value in row.values()),
    ),
    _refused(
        "a Vertex AI (AutoML) row",
        "write {'text': textContent, 'entities': [[startOffset, endOffset, displayName]]} of 'textSegmentAnnotations'",
        lambda row: has(row, textSegmentAnnotations=list) or has(row, textSnippet=dict),
    ),
    _refused(
        "a Google AutoML row",
        "write {'text': text_snippet.content, 'entities': [[start_offset, end_offset, display_name]]}",
        lambda row: has(row, text_snippet=dict),
    ),
    _refused(
        "an answer of Google's Natural Language service or of IBM's Watson",
        "it has no text; add it as 'text', and as 'entities' a list of [start, end, type] for all mentions",
        lambda row: has(row, entities=list, language=str) and _any(row["entities"], "mentions"),
    ),
    _refused(
        "an answer of Amazon Comprehend",
        "it has no text; add that of its line as 'text' beside its 'Entities'",
        lambda row: has(row, Entities=list) and "Text" not in row,
    ),
    _refused(
        "a Snips data set",
        "write {'text': ..., 'entities': [[start, end, entity]]}, the pieces of each utterance's 'data' put together",
        lambda row: has(row, intents=dict),
    ),
    _refused(
        "a Dialogflow phrase",
        "write {'text': ..., 'entities': [[start, end, alias]]}, the pieces of its 'data' put together",
        lambda row: has(row, data=list, isTemplate=bool),
    ),
    _refused(
        "BigBio's scheme",
        "write {'text': ..., 'entities': [[start, end, type]]}, the texts of its 'passages' put together",
        lambda row: has(row, passages=list, entities=list) and _any(row["passages"], "offsets"),
    ),
    _refused(
        "an answer of CoreNLP",
        "write {'tokens': [...], 'ner_tags': [...]} of the 'word' and 'ner' of each sentence's 'tokens'",
        lambda row: has(row, sentences=list) and _any(row["sentences"], "tokens"),
    ),
    _refused(
        "a sentence of Stanza",
        "write {'tokens': [...], 'ner_tags': [...]} of the 'text' and 'ner' of its words",
        lambda row: isinstance(row, list) and bool(row) and all(has(word, text=str, ner=str) for word in row),
    ),
    _refused(
        "DocRED",
        "write {'tokens': ..., 'entities': [{'start', 'end', 'type'}]} of each of its 'sents', ends exclusive",
        lambda row: has(row, sents=list, vertexSet=list),
    ),
    _refused(
        "questions for reading comprehension (MRC)",
        "it has a row for each sentence and label; put those of a sentence together",
        lambda row: has(row, context=str, start_position=list),
    ),
    _refused(
        "an episode of Few-NERD",
        "take its supervised files, or write {'tokens': word, 'ner_tags': label} of each sentence",
        lambda row: has(row, support=dict, query=dict),
    ),
    _refused(
        "a UBIAI export",
        "write {'text': document, 'entities': [[start, end, entityLabel]]} of its 'tokens'",
        lambda row: has(row, document=str, tokens=list) and _any(row["tokens"], "entityLabel"),
    ),
    _refused(
        "W2NER's rows",
        "write {'tokens': sentence, 'entities': [{'start', 'end', 'type'}]}, 'index' being from start to end",
        lambda row: has(row, sentence=list, ner=list) and _any(row["ner"], "index"),
    ),
    _refused(
        "Rasa training data",
        "write {'text': text, 'entities': [[start, end, entity]]} of each of its 'common_examples'",
        lambda row: has(row, rasa_nlu_data=dict),
    ),
    _refused(
        "a LightTag export",
        "write {'text': content, 'entities': [[start, end, tag]]} of each of its 'examples'",
        lambda row: has(row, examples=list) and _any(row["examples"], "annotations"),
    ),
    _refused(
        "an Azure AI Language project",
        "its texts are in other files: write {'text': text, 'entities': [{'offset', 'length', 'category'}]} of each",
        lambda row: has(row, projectFileVersion=str) or (has(row, assets=dict) and "metadata" in row),
    ),
    _refused(
        "an answer of Azure's service",
        "it has no text; add each document's as 'text' beside its 'entities'",
        lambda row: has(row, documents=list) and _any(row["documents"], "entities"),
    ),
    _refused(
        "a DyGIE++ document",
        "write {'tokens': tokens, 'entities': [{'start', 'end', 'type'}]} of each of its sentences, ends exclusive",
        lambda row: has(row, sentences=list) and isinstance(row.get("ner", row.get("predicted_ner")), list),
    ),
    _refused(
        "a chat for fine-tuning",
        "the answer of an assistant has no format that is known; write {'text': ..., 'entities': [...]}",
        lambda row: has(row, messages=list),
    ),
    _refused(
        "SQuAD",
        "it has questions about paragraphs and no entities",
        lambda row: has(row, paragraphs=list) and _any(row["paragraphs"], "qas"),
    ),
    _refused(
        "a tagtog annotation",
        "its text is in another file: write {'text': text, 'entities': [[start, start + len(text), classId]]}",
        lambda row: has(row, annotatable=dict),
    ),
    _refused(
        "an INCEpTION or UIMA CAS",
        "export the project as 'WebAnno TSV v3.3' or 'CoNLL 2002'",
        lambda row: isinstance(row, dict) and "%FEATURE_STRUCTURES" in row,
    ),
)

ENDINGS = {
    ".xml": "XML (BioC, GATE, TEI, MAE and others); convert it to JSON, for BioC with `bioc`, or export WebAnno TSV",
    ".xmi": "an INCEpTION or UIMA CAS; export the project as 'WebAnno TSV v3.3' or 'CoNLL 2002'",
    ".sgm": "ACE; convert it to {'text': ..., 'entities': [[start, end, label]]}, end exclusive",
    ".xlsx": "a spreadsheet; save it as CSV with a column of words, one of tags and one that numbers the sentences",
    ".xls": "a spreadsheet; save it as CSV with a column of words, one of tags and one that numbers the sentences",
    ".docx": "a document of a word processor; there are no annotations that could be read",
    ".pdf": "a PDF; there are no annotations that could be read",
    ".zip": "an archive; unpack it",
    ".tar": "an archive; unpack it",
    ".tgz": "an archive; unpack it",
    ".7z": "an archive; unpack it",
    ".bz2": "compressed with bzip2; unpack it, or compress it with gzip",
    ".xz": "compressed with xz; unpack it, or compress it with gzip",
    ".zst": "compressed with zstd; unpack it, or compress it with gzip",
    ".pkl": "a pickle, which may run any program when it is opened; write JSON",
    ".pickle": "a pickle, which may run any program when it is opened; write JSON",
    ".pt": "a pickle, which may run any program when it is opened; write JSON",
    ".db": "a data base; export it: for Prodigy `prodigy db-out NAME > NAME.jsonl`",
    ".sqlite": "a data base; export its annotations as JSON",
    ".yaml": "YAML; convert it to JSON",
    ".yml": "YAML (Rasa's training data?); convert it to JSON",
    ".md": "Markdown (Rasa's training data?); convert it to {'text': ..., 'entities': [[start, end, label]]}",
    ".html": "a web page; there are no annotations that could be read",
}
"""What files with these endings are, and what to do."""


def _any(values: list[Any], field: str) -> bool:
    return any(isinstance(value, dict) and field in value for value in values)
