"""What all answers have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of all answers: immutable, tolerant of members it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")
