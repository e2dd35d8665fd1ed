"""JSON Schema of marshmallow fields: apispec's own, except where a field says itself what it reads."""

from __future__ import annotations

from typing import Any, cast

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow.fields import Field


class FieldConverter(OpenAPIConverter):
    """Knows the fields of query strings, which say what they read by `json_schema`."""

    def field2property(self, field: Field[Any]) -> dict[str, Any]:
        """Return the schema of a field."""
        own = getattr(field, "json_schema", None)
        if own is None:
            found: dict[str, Any] = super().field2property(field)
            return found
        default = None if field.metadata.get("required") else _plain(field.load_default)
        return {
            **own,
            **{name: field.metadata[name] for name in ("minimum", "maximum") if name in field.metadata},
            "description": field.metadata["description"],
            "example": field.metadata["example"],
            **({} if default is None else {"default": default}),
        }

    def _field2parameter(self, field: Field[Any], *, name: str, location: str) -> dict[str, Any]:
        found: dict[str, Any] = super()._field2parameter(field, name=name, location=location)
        schema = found["schema"]
        found["example"] = schema.pop("example")
        found["required"] = field.required or field.metadata.get("required", False)
        # An empty parameter is an absent one.
        found["allowEmptyValue"] = not found["required"]
        if schema.get("type") == "array":
            found |= {"style": "form", "explode": False}
        return found


def _plain(default: Any) -> Any:
    """Return a default as it would be written in a query string; None for no default, and for all."""
    value = getattr(default, "key", default)
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


class Plugin(MarshmallowPlugin):
    """apispec's plugin with our converter."""

    Converter = FieldConverter

    @property
    def own_converter(self) -> FieldConverter:
        """The converter, which is there once the plugin serves a document."""
        return cast(FieldConverter, self.converter)
