"""A user's own reward, named as ``module:function``.

It is code that is not ours: whatever is raised in it is caught here, and nowhere else in this package.
"""

import difflib
import importlib
import inspect
import math
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from threading import Thread
from typing import Any, cast

from rnr.types import Answer, Example, Mention

RewardFunction = Callable[[Example, Answer], float]

Range = tuple[float, float]
"""The least and the largest number that is a reward: ``reward.range``."""

TRIAL_SECONDS = 60.0
"""How long the trial of a reward may take, a model that it loads included."""

_CITY = Mention(text="London", label="city", start=25, end=31)
_PERSON = Mention(text="Ada Lovelace", label="person", start=0, end=12)
_TRIAL = Example(
    uid="trial",
    sentence="Ada Lovelace was born in London .",
    schema=("city", "person"),
    mentions=(_PERSON, _CITY),
    source="trial",
)
_RIGHT = Answer(reasoning="[Ada Lovelace: person] was born in [London: city] .", mentions=(_CITY, _PERSON))


@lru_cache(maxsize=64)
def load(path: str) -> RewardFunction:
    """The function that ``path`` names, checked to take an example and an answer.

    Raises ValueError naming what is wrong: the form of the path, a module that is not there (with where it was looked
    for and the nearest name) or that fails while it is imported, the function, or its arguments.
    """
    function = find(path)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as problem:
        signature = f"{path.partition(':')[2]}{inspect.signature(function)}"
        raise ValueError(f"reward {path!r}: {signature} must take (example, answer): {problem}") from problem
    return cast(RewardFunction, function)


def find(path: str) -> Callable[..., Any]:
    """What ``module:function`` names; raises ValueError as ``load`` does."""
    module_name, colon, function_name = path.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"a reward of your own is named as 'module:function', not {path!r}")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as problem:
        raise ValueError(f"reward {path!r}: {_why_not_imported(module_name, problem)}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        callables = [name for name, value in vars(module).items() if callable(value)]
        hint = _hint(function_name, callables)
        raise ValueError(f"reward {path!r}: module {module_name!r} has no function {function_name!r}{hint}")
    return function


def check(path: str, bounds: Range) -> None:
    """Raises ValueError with what ``trial`` says of the function, if it says anything."""
    if problem := trial(path, bounds):
        raise ValueError(problem)


def trial(path: str, bounds: Range) -> str:
    """What is wrong with the function, from one call with the right answer to a made-up example: it cannot be loaded,
    or no number within ``bounds`` comes back within ``TRIAL_SECONDS``. Empty if nothing is.

    It never raises, and all it takes and gives is plain: it can be asked of any process that is to call the function.
    """
    try:
        function = load(path)
    except ValueError as problem:
        return str(problem)
    outcome: list[tuple[float | None, str | None]] = []
    # A thread that hangs cannot be ended; as a daemon it at least does not keep the process from ending.
    thread = Thread(target=lambda: outcome.append(call(path, _TRIAL, _RIGHT, bounds)), daemon=True)
    thread.start()
    thread.join(TRIAL_SECONDS)
    invalid = outcome[0][1] if outcome else f"no answer within {TRIAL_SECONDS:g} s"
    if invalid is None:
        return ""
    signature = f"{path.partition(':')[2]}{inspect.signature(function)}"
    return (
        f"reward {path!r}: {signature} was tried with (example: rnr.types.Example, answer: rnr.types.Answer), "
        f"a made-up example and its right answer, and should have returned a number: {invalid}"
    )


def call(path: str, example: Example, answer: Answer, bounds: Range) -> tuple[float | None, str | None]:
    """What the function returns, a number within ``bounds``, and None; or None and why there is no such number.

    Raises ValueError as ``load`` does, and for nothing that goes wrong in the function.
    """
    function = load(path)
    low, high = bounds
    try:
        value = function(example, answer)
        # A bool is a number here: a user's `return a == b` is a reward. A text is none, whatever it says.
        total = float(value) if hasattr(value, "__float__") else math.nan
        if low <= total <= high:
            return total, None
        returned = repr(value)[:100]
        return None, f"ValueError: {path} returned {returned}, not a number in reward.range [{low:g}, {high:g}]"
    # Whatever it is, it makes this one rollout invalid, and the run goes on: sys.exit() too must not end a worker.
    except (Exception, SystemExit) as problem:
        return None, f"{type(problem).__name__}: {problem}{_place(problem)}"


def _why_not_imported(module_name: str, problem: BaseException) -> str:
    missing = problem.name if isinstance(problem, ModuleNotFoundError) else None
    if missing and f"{module_name}.".startswith(f"{missing}."):
        folders = _folders(missing)
        looked = f"; looked for in {', '.join(folders)}" if folders else ""
        package, dot, _ = missing.rpartition(".")
        beside = [package + dot + module.name for module in pkgutil.iter_modules(folders)]
        return f"{problem}{looked}{_hint(missing, beside)}"
    cause = f"{type(problem).__name__}: {problem}{_place(problem)}"
    return f"module {module_name!r} was found, but importing it failed: {cause}"


def _folders(module_name: str) -> list[str]:
    """Where Python looks for a module whose package, if it is in one, was imported."""
    package = module_name.rpartition(".")[0]
    found = getattr(sys.modules[package], "__path__", ()) if package else sys.path
    return [folder or os.getcwd() for folder in found]


def _place(problem: BaseException) -> str:
    """``" (own.py, line 3)"``: the line of the user's module at which things went wrong, if there is one."""
    for frame, line in traceback.walk_tb(problem.__traceback__):
        file = frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<"):
            return f" ({file}, line {line})"
    return ""


def _hint(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
