"""Drives the Realtime twin with OpenAI's client."""

import base64
import json
import sys

import openai
from openai.types.realtime import RealtimeServerEvent
from shapes import Shape
from websockets.exceptions import InvalidStatus

asked = json.load(sys.stdin)
PORT, KEY = asked["port"], asked["key"]
LOUD = base64.b64encode(b"\x00\x80" * 80).decode()
QUIET = base64.b64encode(b"\xff" * 160).decode()
shape = Shape(RealtimeServerEvent, [".session.id", ".session.object", ".session.expires_at"])


def client(key):
    return openai.OpenAI(
        api_key=key, base_url=f"http://127.0.0.1:{PORT}/v1", websocket_base_url=f"ws://127.0.0.1:{PORT}/v1"
    )


class Session:
    def __init__(self, connection):
        self.connection = connection

    def next(self):
        return shape.check(self.connection.recv_bytes())

    def until(self, kind):
        """All events up to the first of a type; an error is the end of the test unless asked for."""
        seen = []
        while not seen or seen[-1].type != kind:
            seen.append(self.next())
            assert seen[-1].type != "error" or kind == "error", seen[-1].error
        return seen

    def refused(self, event):
        """The error that comes of an event."""
        self.connection.send(event)
        return self.until("error")[-1].error


try:
    with client("wrong").realtime.connect(model="gpt-realtime-2.1") as connection:
        connection.recv()
    raise SystemExit("a wrong key was let in")
except InvalidStatus as refusal:
    assert refusal.response.status_code == 401, refusal

with client(KEY).realtime.connect(model="gpt-realtime-2.1") as connection:
    session = Session(connection)
    assert session.next().type == "session.created"

    pcmu = {"type": "audio/pcmu"}
    audio = {
        "input": {
            "format": pcmu,
            "transcription": {"model": "gpt-transcribe", "languages": ["en", "es"]},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
        },
        "output": {"format": pcmu, "voice": "marin"},
    }
    tool = {"type": "function", "name": "transfer_call", "parameters": {"type": "object", "properties": {}}}
    update = {"type": "realtime", "audio": audio, "tools": [tool], "reasoning": {"effort": "low"}}

    rated = json.loads(json.dumps(update))
    rated["audio"]["output"]["format"]["rate"] = 8000
    error = session.refused({"type": "session.update", "event_id": "e1", "session": rated})
    assert (error.code, error.event_id) == ("unknown_parameter", "e1"), error
    assert error.param.startswith("session.audio.output.format"), error
    error = session.refused({"type": "session.update", "session": {"type": "realtime", "voice": "marin"}})
    assert (error.code, error.param) == ("unknown_parameter", "session.voice"), error
    flat = {"type": "realtime", "input_audio_format": "g711_ulaw"}
    error = session.refused({"type": "session.update", "session": flat})
    assert error.code == "unknown_parameter", error

    connection.session.update(session=update)
    effective = session.until("session.updated")[-1].session
    assert effective.audio.input.format.type == "audio/pcmu", effective
    assert effective.audio.output.voice == "marin"

    assert session.refused({"type": "response.cancel"}).code == "response_cancel_not_active"
    assert session.refused({"type": "input_audio_buffer.append", "audio": "%%%"}).param == "audio"
    assert session.refused({"type": "input_audio_buffer.commit"}).code == "input_audio_buffer_commit_empty"

    connection.response.create(response={"instructions": "Greet the caller."})
    session.until("response.created")
    again = session.refused({"type": "response.create"})
    assert again.code == "conversation_already_has_active_response", again
    seen = session.until("response.done")
    done = seen[-1].response
    assert done.status == "completed" and len(done.output) == 2, done
    assert done.usage.output_token_details.audio_tokens > 0
    sound = b"".join(base64.b64decode(event.delta) for event in seen if event.type == "response.output_audio.delta")
    assert len(sound) <= 16000, len(sound)
    words = "".join(part.transcript for item in done.output for part in item.content)
    assert words == "Good morning, how can I help you today?", words
    item = done.output[-1].id
    error = session.refused(
        {"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 60000}
    )
    assert error.message == "Audio content of 1000ms is already shorter than 60000ms", error
    connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=500)
    assert session.until("conversation.item.truncated")[-1].audio_end_ms == 500

    for frame in [LOUD] * 20 + [QUIET] * 15:
        connection.input_audio_buffer.append(audio=frame)
    kinds = [event.type for event in session.until("input_audio_buffer.committed")]
    assert [kind for kind in kinds if kind.startswith("input")] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ], kinds
    heard = session.until("conversation.item.input_audio_transcription.completed")[-1]
    assert heard.transcript and heard.usage.type == "tokens", heard
    call = session.until("response.done")[-1].response.output[0]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "transfer_call", {"to": "sales"})
    output = {"type": "function_call_output", "call_id": "call_nobody", "output": "{}"}
    assert session.refused({"type": "conversation.item.create", "item": output}).param == "item.call_id"
    connection.conversation.item.create(item={**output, "call_id": call.call_id})
    connection.response.create()
    session.until("response.output_audio.delta")

    for frame in [LOUD] * 4:
        connection.input_audio_buffer.append(audio=frame)
    cut = session.until("response.done")[-1].response
    assert (cut.status, cut.status_details.reason) == ("cancelled", "turn_detected"), cut
    assert cut.output[0].status == "incomplete"

print("agreed")
