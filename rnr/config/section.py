"""The base class of the config's sections."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from rnr.validation import flags_apart


class Section(BaseModel):
    """A branch of the tree: frozen; a key it does not know, a number that is not finite, and true or false for a number
    are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_is_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        return flags_apart(cls.model_fields[str(field.field_name)].annotation, value)

    def changed(self, key: str) -> bool:
        """Whether a key differs from its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)
