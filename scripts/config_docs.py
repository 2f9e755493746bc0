"""Write docs/configuration.md from the config's own docstrings: a table of keys for each section.

python -m scripts.config_docs
python -m scripts.config_docs --check   # exit code 1 if the file is out of date
"""

import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rnr.config import Config
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from scripts.command_line import as_written, new_app, run

FILE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
NAMES = {str: "text", int: "int", float: "float", bool: "true or false", Any: "anything"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
HEAD = """# Configuration

Written by `make docs` from [rnr/config/](../rnr/config/); change it there. A key goes in a TOML file under its
section, or on the command line of `scripts.train` as `--section.key=value`, which takes precedence;
`--section.key=null` resets a key to its default. Unknown keys are errors. `--dry-run` prints the resolved plan.
"""

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def write(check: Annotated[bool, typer.Option("--check", help="compare, write nothing")] = False) -> None:
    """Write the page, or compare it with the config."""
    text = page(Config)
    if not check:
        write_whole(FILE, text)
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        raise RuntimeError(f"{FILE.name} does not match rnr/config/: run `make docs`")


def page(config: type[BaseModel]) -> str:
    """The whole page; raises ValueError for a section or a key without a docstring."""
    parts = [HEAD]
    for name, field in config.model_fields.items():
        section = field.annotation
        assert _is_section(section), name
        parts.append(f"## {name}\n\n{_described(field.description or section.__doc__, name)}\n")
        rows = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in _rows(section, name))
        parts.append(
            "| key | type | default | meaning |\n|---|---|---|---|\n" + "".join(f"| {row} |\n" for row in rows)
        )
    return "\n".join(parts)


def _rows(section: type[BaseModel], path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        key = f"{path}.{name}"
        if _is_section(field.annotation):
            yield from _rows(field.annotation, key)
            continue
        default = "needed" if field.is_required() else _default(field.get_default(call_default_factory=True))
        yield f"`{key}`", _type(field), default, _described(field.description, key)
        for part in get_args(field.annotation):
            if _is_section(part):  # a list of them
                yield from _rows(part, f"{key}[]")


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _described(text: str | None, place: str) -> str:
    if not text:
        raise ValueError(f"{place} has no docstring in rnr/config/")
    return " ".join(cleandoc(text).replace("``", "`").split())


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(item, name):.10g}"
        for item in field.metadata
        for name, sign in BOUNDS.items()
        if hasattr(item, name)
    ]
    return " ".join([_type_name(field.annotation), *bounds])


def _type_name(annotation: Any) -> str:
    """A type in plain words: choices in full, ``int or none``, ``list of text``."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(_default(value) for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(part) for part in inside)
    if origin is Annotated:
        return _type_name(inside[0])
    if origin in (tuple, list):
        size = "list" if inside[-1] is Ellipsis or origin is list else f"{len(inside)}"
        return f"{size} of {_type_name(inside[0])}"
    if origin in (dict, Mapping):
        return f"table of {_type_name(inside[1])}"
    if _is_section(annotation):
        return "table"
    return "none" if annotation is NoneType else NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(value: Any) -> str:
    return "none" if value is None else f"`{strict_json(value)}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
