"""What all specs and records are made of."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A record that can't be changed, knows its fields and refuses others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
