"""The base class of the config's sections."""

from pydantic import ConfigDict

from rnr.validation import FlagsApart


class Section(FlagsApart):
    """A branch of the tree: frozen; a key it does not know, a number that is not finite, and true or false for a number
    are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def changed(self, key: str) -> bool:
        """Whether a key differs from its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)
