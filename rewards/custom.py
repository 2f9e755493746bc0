"""A user's own reward, named as ``module:function``."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from rnr.types import Answer, Example

RewardFunction = Callable[[Example, Answer], float]


@lru_cache(maxsize=64)
def load(path: str) -> RewardFunction:
    """The function that ``path`` names, checked to take an example and an answer.

    Raises ValueError naming what is wrong: the form of the path, the module or the function (with the nearest
    name), or its arguments. What the module itself raises while it is imported is left to surface.
    """
    module_name, colon, function_name = path.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"a reward of your own is named as 'module:function', not {path!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        raise ValueError(f"reward {path!r}: {problem}{_hint(module_name, _modules_beside(module_name))}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        callables = [name for name, value in vars(module).items() if callable(value)]
        hint = _hint(function_name, callables)
        raise ValueError(f"reward {path!r}: module {module_name!r} has no function {function_name!r}{hint}")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as problem:
        signature = f"{function_name}{inspect.signature(function)}"
        raise ValueError(f"reward {path!r}: {signature} must take (example, answer): {problem}") from problem
    return cast(RewardFunction, function)


def _modules_beside(name: str) -> list[str]:
    """Dotted names of the modules in the package that ``name`` is looked for in."""
    package, dot, _ = name.rpartition(".")
    try:
        folders = importlib.import_module(package).__path__ if dot else None
    except (ModuleNotFoundError, AttributeError):
        return []
    return [package + dot + module.name for module in pkgutil.iter_modules(folders)]


def _hint(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
