"""Examples of answers, put together from those of their fields."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.fields import Field


def example_of(schema: type[Schema]) -> dict[str, Any]:
    """Return an object of a schema in which every field has its example."""
    return {name: example(field) for name, field in schema().fields.items()}


def example(field: Field[Any]) -> Any:
    """Return the example of a field: its own, or one made of those that it holds."""
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, fields.List):
        return [example(field.inner)]
    if isinstance(field, fields.Nested):
        return example_of(type(field.schema))
    raise TypeError(f"{field.name} has no example")


def enveloped(data: Any) -> dict[str, Any]:
    """Return the envelope of a success."""
    return {"success": True, "message": "", "data": data}


def refused(message: str) -> dict[str, Any]:
    """Return the envelope of a failure."""
    return {"success": False, "message": message}
