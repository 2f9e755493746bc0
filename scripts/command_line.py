"""One way to run a command line: options by typer, errors as one line, exit codes.

0 is success, 1 a failure of the work, 2 wrong input or a wrong option, 130 an interrupt, 75 a run that was asked to
stop (SIGTERM, SIGHUP) and can be resumed.
"""

import math
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperOption
from typer.models import CommandFunctionType

from rnr.cli import load_config, overruled
from rnr.config import Config, Offsets, ReadingConfig, Spaces
from rnr.runs.commands import as_called, by_name
from rnr.runs.log_handler import logged_to
from rnr.task.labels import label_key
from scripts.printing import flushed, lasting, take_any_text
from scripts.startup import raise_on_interrupt

Number = TypeVar("Number", int, float)
Value = TypeVar("Value")
_COMMANDS = ("python ", "rnr ", "cat ")
"""How a paragraph of commands begins."""


class _Once(TyperCommand):
    """A command that refuses an option given twice: click would use the last value and silently drop the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(each for each in order if isinstance(each, TyperOption)).items():
            harmless = option.multiple or option.count or (option.is_flag and not option.secondary_opts)
            if times > 1 and not harmless:
                names = ", ".join((*option.opts, *option.secondary_opts))
                raise ValueError(f"{names} was given {times} times; give it once")
        return super().parse_args(ctx, args)


class _App(typer.Typer):
    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        return super().command(name, cls=_Once, **options)


def new_app(description: str | None = None) -> typer.Typer:
    """An app whose messages are plain text, so that a log file reads as the terminal does."""
    return _App(
        help=as_written(description), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def as_written(description: str | None) -> str:
    """The description with its commands as they are called here; ``--help`` keeps the line breaks of commands only."""
    paragraphs = as_called(description or "").strip().split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith(_COMMANDS) else each for each in paragraphs)


def within(least: float, most: float = math.inf) -> Callable[[Number | None], Number | None]:
    """A callback that refuses an option outside of this range, or one that is not finite."""
    wanted = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"

    def check(value: Number | None) -> Number | None:
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            raise typer.BadParameter(f"must be {wanted}; found {value}")
        return value

    return check


def among(names: Collection[str]) -> Callable[[list[str] | None], list[str] | None]:
    """A callback that refuses a list with any other value: typer has no choices for lists."""

    def check(values: list[str] | None) -> list[str] | None:
        if other := sorted(set(values or ()) - set(names)):
            raise typer.BadParameter(f"must be among {', '.join(names)}; found {', '.join(other)}")
        return values

    return check


def refuse_idle(context: typer.Context, names: Collection[str], where: str) -> None:
    """Raises ValueError, naming them, if any of these parameters are on the command line; ``where`` says why they have
    no effect ("without --peer")."""
    sources = {name: context.get_parameter_source(name) for name in names}
    typed = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    if given := [each.opts[0] for each in context.command.params if each.name in typed]:
        raise ValueError(f"{', '.join(given)}: no effect {where}")


LabelWeight = Annotated[
    float | None,
    typer.Option(
        callback=within(0.0, 1.0), help="strength of label calibration under marks, 0 to 1; default: as in the run"
    ),
]
"""``--label-calibration``."""

MinConfidence = Annotated[list[str] | None, typer.Option(help="minimum confidence, e.g. 0.5 or person=0.7,city=0.4")]
"""``--threshold``."""

ContextTokens = Annotated[int, typer.Option(callback=within(1), help="limit of prompt and answer")]
"""``--context-tokens``."""


def _reading_option(name: str) -> Any:
    """The option of a key of ``data.reading``, with the key's docstring as its help."""
    return typer.Option(help=" ".join((ReadingConfig.model_fields[name].description or "").replace("``", "").split()))


READING = ReadingConfig()
TagColumn = Annotated[int, _reading_option("tag_column")]
HowSpaces = Annotated[Spaces, _reading_option("spaces")]
HowOffsets = Annotated[Offsets, _reading_option("offsets")]
LabelNames = Annotated[str, _reading_option("labels")]


def reading_of(options: Mapping[str, Any]) -> ReadingConfig:
    """The ``data.reading`` of a command that has its keys as options; labels are separated by commas."""
    given = {name: options[name] for name in ReadingConfig.model_fields}
    return ReadingConfig.model_validate(given | {"labels": tuple(filter(None, options["labels"].split(",")))})


def repeated(argv: Sequence[str], option: str) -> list[str]:
    """The command line with ``option`` before each of the values that follow it: typer takes one, a shell's pattern
    gives several."""
    spread: list[str] = []
    following = False
    for argument in argv:
        if argument.startswith("-"):
            following = argument == option
        elif following and spread[-1] != option:
            spread.append(option)
        spread.append(argument)
    return spread


def settings_of(path: str | None, overrides: list[str]) -> Config:
    """``load_config``; an override that a later one replaces is named on standard error."""
    settings = load_config(path, overrides)
    for note in overruled(overrides):
        print(f"note: {note}", file=sys.stderr)
    return settings


def table_option(text: str, name: str) -> dict[str, Any]:
    """The TOML table of an option, such as ``{entity_f1 = 0.5}``; empty for an empty text."""
    try:
        found = tomllib.loads(f"table = {text or '{}'}")["table"]
    except tomllib.TOMLDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a TOML table such as {{key = 1}}; found {text}")
    return found


def threshold_option(given: Sequence[str] | None) -> float | dict[str, float] | None:
    """``--threshold 0.5``, or ``--threshold person=0.7,city=0.4``; None where there is none."""
    parts = [part.strip() for text in given or () for part in text.split(",") if part.strip()]
    if not parts:
        return None
    try:
        if len(parts) == 1 and "=" not in parts[0]:
            return float(parts[0])
        pairs = [part.rpartition("=") for part in parts]
        if not all(label.strip() for label, _, _ in pairs):
            raise ValueError("a number among labels")
        values = [(label.strip(), float(value)) for label, _, value in pairs]
    except ValueError:
        raise ValueError(f"--threshold must be like 0.5 or label=0.5,label=0.4; found {', '.join(parts)}") from None
    return by_label(values, "--threshold")


def by_label(pairs: Iterable[tuple[str, Value]], option: str) -> dict[str, Value]:
    """The value that an option gives each label; raises ValueError if it gives one label two values."""
    found: dict[str, tuple[str, Value]] = {}
    for label, value in pairs:
        first, known = found.setdefault(label_key(label), (label, value))
        if known != value:
            raise ValueError(f"{option} gives one label two values, {first}={known} and {label}={value}: remove one")
    return dict(found.values())


def run(app: typer.Typer, argv: list[str], *, interrupted: str = "stopped", lasts: bool = False) -> int:
    """The exit code of this command line; ``interrupted`` is printed after Ctrl-C. A command that ``lasts`` prints
    progress, and continues when nobody can read it; any other prints its result."""
    raise_on_interrupt()
    take_any_text()
    if not lasts or "--help" in argv:
        return flushed(_code(app, argv, interrupted))
    with lasting():
        return _code(app, argv, interrupted)


@logged_to(print)
def _code(app: typer.Typer, argv: list[str], interrupted: str) -> int:
    try:
        code = app(argv, prog_name=sys.argv[0] if by_name() else None, standalone_mode=False) or 0
    except (typer.TyperException, ValueError, OSError) as error:
        print(f"error: {_message_of(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if code == 130:
        print(interrupted, file=sys.stderr)
    return code


def _message_of(error: Exception) -> str:
    """The message; for a missing or unknown option, argument or command, it says where they are listed."""
    if isinstance(error, FileNotFoundError):
        try:
            here = Path.cwd()
        except FileNotFoundError:
            return "the working folder no longer exists: start from another one"
        if error.filename is not None:
            return f"no file or folder at {str(error.filename)!r} (working folder: {here})"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{str(error.filename)!r}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding():
        return (
            f"{error.object[:300]!r} has characters that the encoding of file names, {error.encoding}, cannot "
            "represent: set a UTF-8 locale (LC_ALL=C.UTF-8), or PYTHONUTF8=1"
        )
    if not isinstance(error, typer.TyperException):
        return as_called(str(error))
    context = getattr(error, "ctx", None)
    if context is None or type(error) is typer.BadParameter:
        return error.format_message()
    return f"{error.format_message().rstrip('.')}; {context.command_path} --help lists them"
