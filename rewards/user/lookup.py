"""Imports what a user names as ``module:name``; the module may be missing or fail."""

import importlib
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

from rnr.messages import did_you_mean
from rnr.runs.log_handler import kept_enabled

logger = logging.getLogger(__name__)

SECONDS = 60.0
"""Of an import, after which it is reported: it may also never end."""


def find(path: str) -> Callable[..., Any]:
    """The callable that ``module:function`` names; raises ValueError for a malformed path, a missing module (with the
    search path and the nearest name), a module that fails to import, or a missing name in it."""
    module_name, colon, function_name = path.partition(":")
    if not (module_name and colon and function_name):
        dotted, _, last = path.rpartition(".")
        meant = f"; did you mean '{dotted}:{last}'?" if dotted and not colon else ""
        raise ValueError(f"a custom reward must be named 'module:function', not {path!r}{meant}")
    if module_name.endswith(".py") or "/" in module_name:
        name = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise ValueError(f"reward {path!r} has a path for its module; did you mean '{name}:{function_name}'?")
    try:
        with kept_enabled(), _reported_if_slow(path):
            module = importlib.import_module(module_name)
    except (Exception, SystemExit, GeneratorExit) as problem:
        raise ValueError(f"reward {path!r}: {_why_not_imported(module_name, problem)}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        if hasattr(module, function_name):
            raise ValueError(f"reward {path!r}: {function_name!r} of module {module_name!r} is not a function or class")
        callables = [name for name, value in vars(module).items() if callable(value)]
        hint = did_you_mean(function_name, callables)
        raise ValueError(f"reward {path!r}: module {module_name!r} has no function {function_name!r}{hint}")
    return function


@contextmanager
def _reported_if_slow(path: str) -> Iterator[None]:
    said = f"reward {path!r}: importing its module has taken {SECONDS:g} s so far"
    timer = Timer(SECONDS, logger.warning, [said])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def place(problem: BaseException, *, ours: Sequence[str] = ()) -> str:
    """``" (own.py, line 3)"``: the line in the user's code where the error was raised, if there is one; lines in the
    files ``ours`` do not count."""
    for frame, line in traceback.walk_tb(problem.__traceback__):
        file = frame.f_code.co_filename
        if file not in (__file__, importlib.__file__, *ours) and not file.startswith("<"):
            return f" ({file}, line {line})"
    return ""


def shown(value: Any, how: Callable[[Any], str] = str) -> str:
    """``str(value)``, or ``how(value)``; both may run a user's code that fails."""
    try:
        return how(value)
    except Exception as problem:
        return f"<{type(value).__name__} whose {how.__name__}() raises {type(problem).__name__}>"


def _why_not_imported(module_name: str, problem: BaseException) -> str:
    missing = problem.name if isinstance(problem, ModuleNotFoundError) else None
    if missing and f"{module_name}.".startswith(f"{missing}."):
        folders = _folders(missing)
        looked = f"; looked for in {', '.join(folders)}" if folders else ""
        package, dot, _ = missing.rpartition(".")
        beside = [package + dot + module.name for module in pkgutil.iter_modules(folders)]
        return f"{problem}{looked}{did_you_mean(missing, beside)}"
    cause = f"{type(problem).__name__}: {shown(problem)}{place(problem)}"
    return f"module {module_name!r} was found, but importing it failed: {cause}"


def _folders(module_name: str) -> list[str]:
    """The search path of a module; its package, if any, must be imported."""
    package = module_name.rpartition(".")[0]
    found = getattr(sys.modules[package], "__path__", ()) if package else sys.path
    return [folder or os.getcwd() for folder in found]
