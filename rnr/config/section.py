"""What all branches of the tree are."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A branch of the tree: frozen; a key it does not know and a number that is not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
