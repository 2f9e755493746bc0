"""What every format needs: a row or the reason why there is none, our own row, and the way to a file or a library."""

import codecs
import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError

from rnr.files.text import not_utf8
from rnr.types import Example
from rnr.validation import faults

Row: TypeAlias = tuple[int, Any]
"""Its number (in a text file the line it begins at), and the row or the DataError that says why there is none."""

_Model = TypeVar("_Model", bound=BaseModel)

_HINTS = (
    ((b"{'", b"[('", b"[{'", b"('"), "; this is how Python shows an object: `json.dumps` writes it as JSON"),
    (b"```", "; remove the marks of a block of code around it"),
    (b"\x1e", "; remove the record separators (U+001E) before the values"),
    ((b"//", b"#", b"/*"), "; JSON has no comments"),
    ((b"<<<<<<<", b"=======", b">>>>>>>"), "; this is a conflict that git has left"),
    (b"<", "; this is XML or HTML"),
)
"""How a text begins that is no JSON, and what it is."""


_CURLY = ("\u201c", "\u201d", "\u201e", "\u00ab", "\u00bb")
_STRAIGHT = '"'
_OF_TEXTS = (
    ("Invalid \\escape", r"a backslash in a text is written twice in JSON (C:\\Users)"),
    ("Invalid \\u", r"a backslash in a text is written twice in JSON (C:\\users)"),
    ("Invalid control character", r"a tab or line break inside a text is written \t or \n in JSON"),
    ("Unterminated string", r"the text does not end in its line: a line break inside of it is written \n in JSON"),
)
"""How Python's messages about a text inside of JSON begin, and what to do."""
_WHITE = b" \t\r\n"
_ASSIGNED = re.compile(rb"(?:(?:var|let|const)\s+)?[\w.]+\s*=\s*[\[{]|[\w.]+\(\s*[\[{]")
_WORDS = re.compile(rb"[A-Za-z]+,? [A-Za-z]")
_OTHERS = (
    (
        re.compile(rb"---[ \t]*\r?\n|- [\w-]+:[ \t]|[\w-]+:[^\n]*\n(?:[ \t]*-[ \t]|[ \t]*[\w-]+:)"),
        "; this looks like YAML: convert it to JSON",
    ),
    (re.compile(rb"\[[\w.-]+\]\s*\n[\w.-]+\s*="), "; this looks like TOML: convert it to JSON"),
    (
        re.compile(rb"(?![{\[\"])[^\n\t]+\t"),
        "; tabs divide it: give its name the ending .tsv, or .conll for lines of words and tags",
    ),
    (re.compile(rb"\w+(?:,\w+)+\r?\n"), "; commas divide it: give its name the ending .csv"),
    (
        re.compile(rb"(?![{\[\"])\S+(?: \S+)* (?:O|[BIESLU]-\S+)\r?\n"),
        "; lines are words and tags: give its name the ending .conll",
    ),
)
"""How other texts begin, and what to do with them."""


class DataError(ValueError):
    """A row that cannot be used; says the file, the row and the reason."""

    row: Any = None
    """What stands there, where that could be read."""


def read_as(model: type[_Model], value: Any) -> _Model:
    """The value as a pydantic model; raises ValueError with the first place that is wrong and what is found there."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = next(faults(error, model))
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault.place).removeprefix(".")
        found = " in" if fault.kind == "missing" else ", found"
        raise ValueError(f"{place or 'the value'} {fault.expected}{found} {reprlib.repr(fault.given)}") from None


def are_texts(value: Any) -> TypeGuard[list[str]]:
    """Whether a value is a list of texts, or empty."""
    return plain_list(value, str)


def plain_list(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether a value is a list with nothing of another kind."""
    if not isinstance(value, list):
        return False
    for one in set(map(type, value)):  # noqa: SIM110 - a loop over few types, because there are many such lists
        if not issubclass(one, kind):
            return False
    return True


def parsed(text: bytes | str) -> Any:
    """The JSON value of a text; raises ValueError for what is none, and for an object with one key twice, of which
    ``json.loads`` would take the last."""
    return DECODER.decode(text.decode() if isinstance(text, bytes) else text)


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values; raises ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"an object has {twice!r} twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=once_each)


_ONE_A_LINE = "; JSON lines have an object a line (`jq -c '.[]'` writes those of a list so)"


def numbered_rows(lines: Iterable[bytes | str], place: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the object of each line of JSONL that is not blank; raises ValueError, naming place and row, for
    what is no object, or one that has a key twice."""
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(codecs.BOM_UTF8) if isinstance(line, bytes) else line
        if not line.strip():
            continue
        try:
            row = parsed(line)
        except (ValueError, RecursionError) as error:
            text = line if isinstance(line, bytes) else line.encode(errors="replace")
            one = _ONE_A_LINE if line.strip() in (b"[", b"{", "[", "{") else ""
            raise ValueError(f"{place}, row {number}: {json_fault(error, text)}{one}") from None
        if not isinstance(row, dict):
            one = _ONE_A_LINE if isinstance(row, list) else ""
            raise ValueError(f"{place}, row {number}: expected an object, found {type(row).__name__}{one}")
        yield number, row


def json_fault(error: ValueError | RecursionError, text: bytes = b"") -> str:
    """Why ``json.loads`` gave nothing of this text."""
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(f"byte {error.start}")
    if isinstance(error, RecursionError):
        return "nested too deeply to be read"
    at = str(error)
    if isinstance(error, json.JSONDecodeError):  # some of its messages end with an "at" of their own
        at = f"{error.msg.removesuffix(' at').removesuffix(' starting')} at column {error.colno}"
    if isinstance(error, json.JSONDecodeError) and error.doc[error.pos :].strip() == ",":
        return f"not valid JSON: {at}; there is a comma after the value, as in a list: JSON lines have none"
    if isinstance(error, json.JSONDecodeError) and (hint := _hint(error.doc, error.pos) or _of_text(error)):
        return f"not valid JSON: {at}; {hint}"
    begins = text.lstrip(_WHITE)
    hint = next((hint for begin, hint in _HINTS if begins.startswith(begin)), "") or _assigned(begins)
    return f"not valid JSON: {at}{hint}"


def _of_text(error: json.JSONDecodeError) -> str:
    """The hint where a text inside of JSON is not written as one; empty where it is."""
    if not error.doc[error.pos :].strip("\0\x1a \t\r\n") and error.pos < len(error.doc):
        return "there are zero bytes after it: was the file cut off, or copied from another system?"
    if error.doc[error.pos : error.pos + 1] in _CURLY:
        return f"quotation marks are straight in JSON ({_STRAIGHT}), not curly"
    return next((hint for begins, hint in _OF_TEXTS if error.msg.startswith(begins)), "")


def _assigned(text: bytes) -> str:
    """The message about a text that begins as a program in which a value gets a name, or with words."""
    if _ASSIGNED.match(text):
        return "; this is a program: remove what is before and after the value"
    if hint := next((hint for begins, hint in _OTHERS if begins.match(text)), ""):
        return hint
    return "; these are words, which are no value: remove them where the data follows" if _WORDS.match(text) else ""


def _hint(text: str, place: int) -> str:
    """The hint about the place where a text stops being JSON; empty where nothing is."""
    before, there = text[:place].rstrip()[-1:], text[place:].lstrip()[:1]
    if (before == "," and there in ("]", "}")) or (there == "," and text[place + 1 :].lstrip()[:1] in ("]", "}")):
        return "there is a comma after the last of a list or an object, where JSON has none"
    if before == "}" and there == "{":
        return "another value comes after it: in JSON lines each has a line of its own"
    return ""


def needed(module: str, package: str, file: Path) -> Any:
    """A module that only this format needs; raises DataError with what to install where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        raise DataError(f"{file}: this needs {package}: `pip install {package}`, or export it as JSON") from None


def entities(example: Example) -> list[dict[str, Any]]:
    """The mentions as our own rows list them."""
    return [{"text": m.text, "label": m.label, "start": m.start, "end": m.end} for m in example.mentions]


def row_name(row: dict[str, Any]) -> Any:
    """What a row calls itself: its ``guid``, or where it has none an ``id`` that is a text or a number."""
    name, other = row.get("guid"), row.get("id")
    return other if name in (None, "") and type(other) in (str, int) else name


def names(example: Example) -> dict[str, str]:
    """The data set, and what the row calls itself if it has a name: what formats with free fields take along."""
    return {"dataset": example.source} | ({"guid": example.guid} if example.guid else {})


def whole_row(example: Example) -> dict[str, Any]:
    """An example as a row of our own, with all but its uid."""
    row = {"sentence": example.sentence, "schema": list(example.schema), "entities": entities(example)}
    return row | names(example) | ({"cot": example.reasoning} if example.reasoning else {})
