"""Reads our Telnyx fixtures with the SDK's own models, and lists every event type the SDK knows."""

import json
import sys
import typing

from telnyx.types.unwrap_webhook_event import UnwrapWebhookEvent


def event_type(model):
    """The literal of `data.event_type`, or None for a delivery of another shape."""
    data = strip(model.model_fields["data"].annotation) if "data" in model.model_fields else None
    field = getattr(data, "model_fields", {}).get("event_type")
    literal = strip(field.annotation) if field else None
    return typing.get_args(literal) if typing.get_origin(literal) is typing.Literal else ()


def strip(annotation):
    """What is inside Optional."""
    inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    return inner[0] if typing.get_origin(annotation) is typing.Union and len(inner) == 1 else annotation


def unknown_fields(model, path=""):
    found = [f"{path}{name}" for name in (model.model_extra or {})]
    for name in type(model).model_fields:
        value = getattr(model, name)
        if hasattr(value, "model_extra"):
            found += unknown_fields(value, f"{path}{name}.")
    return found


models = {}
about_calls = []
for model in typing.get_args(UnwrapWebhookEvent):
    for name in event_type(model) or ():
        models[name] = model
        payload = strip(strip(model.model_fields["data"].annotation).model_fields["payload"].annotation)
        fields = getattr(payload, "model_fields", {})
        if "call_control_id" in fields or "call_session_id" in fields or "conference_id" in fields:
            about_calls.append(name)

answers = {}
for name, text in json.load(sys.stdin).items():
    delivery = json.loads(text)
    model = models[delivery["data"]["event_type"]]
    try:
        read = model.model_validate(delivery)
        answers[name] = [field for field in unknown_fields(read) if field != "meta"]
    except Exception as error:
        answers[name] = [str(error)]
json.dump({"fixtures": answers, "about_calls": sorted(about_calls)}, sys.stdout)
