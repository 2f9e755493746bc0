"""RNR: reason, then extract. ``load`` gives a trained model that is asked for entities."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.loading import load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The one import upward: what is loaded lives with the engines, and only whoever asks for it loads these.
    if name == "load":
        from actors.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
