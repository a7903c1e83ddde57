"""Holds what a twin says against the types of the official client: every field known, every field right."""

import json

from pydantic import BaseModel, TypeAdapter, ValidationError


def unknown(value, path=""):
    """The fields of a validated model that its types do not name."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}"
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            yield from unknown(item, f"{path}[{at}]")


class Shape:
    """`beyond`: fields the real API sends although the types of its client do not name them."""

    def __init__(self, kind, beyond=()):
        self.adapter = TypeAdapter(kind)
        self.beyond = set(beyond)

    @staticmethod
    def nearest(wrong):
        """Of the errors of a union of many types those of the one that was meant: the fewest."""
        by_type = {}
        for error in wrong.errors():
            by_type.setdefault(error["loc"][:1], []).append(f"{error['loc']}: {error['msg']}")
        return min(by_type.values(), key=len)

    def check(self, raw):
        try:
            event = self.adapter.validate_json(raw)
        except ValidationError as wrong:
            raise SystemExit(f"{raw!r}: {self.nearest(wrong)}") from None
        extra = [name for name in unknown(event) if name not in self.beyond]
        kind = json.loads(raw).get("type")
        assert not extra, f"{kind} has fields the client does not know: {extra}"
        return event
