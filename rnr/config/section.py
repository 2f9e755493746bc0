"""What all branches of the tree are."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A branch of the tree: frozen; a key it does not know and a number that is not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def changed(self, key: str) -> bool:
        """Whether the value of a key is another than its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)
