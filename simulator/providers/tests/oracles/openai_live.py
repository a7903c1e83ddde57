"""Drives the GPT-Live twin with OpenAI's client."""

import base64
import json
import sys

import openai
from openai.types.live.connect_server_event import ConnectServerEvent
from shapes import Shape
from websockets.exceptions import InvalidStatus

asked = json.load(sys.stdin)
PORT, KEY = asked["port"], asked["key"]
LOUD = base64.b64encode(b"\x00\x80" * 80).decode()
QUIET = base64.b64encode(b"\xff" * 160).decode()
shape = Shape(ConnectServerEvent)


def client(key):
    return openai.OpenAI(
        api_key=key, base_url=f"http://127.0.0.1:{PORT}/v1", websocket_base_url=f"ws://127.0.0.1:{PORT}/v1"
    )


class Session:
    def __init__(self, connection):
        self.connection = connection

    def until(self, kind):
        seen = []
        while not seen or seen[-1].type != kind:
            seen.append(shape.check(self.connection.recv_bytes()))
            assert seen[-1].type != "error" or kind == "error", seen[-1].error
        return seen

    def refused(self, event):
        self.connection.send(event)
        return self.until("error")[-1].error


try:
    with client("wrong").live.connect() as connection:
        connection.recv()
    raise SystemExit("a wrong key was let in")
except InvalidStatus as refusal:
    assert refusal.response.status_code == 401, refusal

with client(KEY).live.connect() as connection:
    session = Session(connection)
    assert session.refused({"type": "session.input_audio.append", "audio": LOUD}).code == "session_not_started"

    tool = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}
    responses = {"model": "gpt-5.6-luna", "tools": [tool], "tool_choice": "auto", "service_tier": "priority"}
    config = {
        "model": "gpt-live-1",
        "instructions": "Be brief.",
        "audio": {"format": {"type": "audio/pcmu", "rate": 8000}, "output": {"voice": "marin"}},
        "delegation": {"type": "responses", "responses": responses},
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}],
        "store": False,
    }
    bare = json.loads(json.dumps(config))
    del bare["audio"]["format"]["rate"]
    error = session.refused({"type": "session.start", "event_id": "e1", "session": bare})
    assert (error.code, error.client_event_id) == ("missing_required_parameter", "e1"), error
    error = session.refused({"type": "session.start", "session": {**config, "voice": "marin"}})
    assert (error.code, error.param) == ("unknown_parameter", "session.voice"), error

    connection.send({"type": "session.start", "session": config})
    started = session.until("session.started")[-1].session
    assert started.audio.format.type == "audio/pcmu" and started.audio.format.rate == 8000, started

    connection.send({"type": "session.commentary.append", "content": "Greet the caller.", "delegation_id": None})
    session.until("session.commentary.appended")
    words = session.until("session.output_transcript.delta")[-1]
    assert words.end_ms == words.start_ms + 200, words
    spoken = session.until("session.output_audio.delta")[-1]
    assert len(base64.b64decode(spoken.delta)) == 1600

    for frame in [LOUD] * 20 + [QUIET] * 25:
        connection.send({"type": "session.input_audio.append", "audio": frame})
    session.until("session.input_transcript.delta")
    session.until("session.delegation.created")
    call = session.until("response.event")[-1].event["item"]
    assert (call["type"], json.loads(call["arguments"])) == ("function_call", {"id": "7"}), call
    output = {"type": "function_call_output", "call_id": "call_nobody", "output": "{}"}
    assert session.refused({"type": "response.item.create", "item": output}).param == "item.call_id"
    connection.send({"type": "response.item.create", "item": {**output, "call_id": call["call_id"]}})
    connection.send({"type": "response.create"})
    session.until("session.output_transcript.delta")

    connection.send({"type": "session.close"})
    closed = session.until("session.closed")[-1]
    assert closed.reason == "close_requested" and closed.usage.seconds > 0, closed

print("agreed")
