"""Drives the Deepgram twins with Deepgram's client."""

import json
import sys

from deepgram import DeepgramClient
from deepgram.agent.v1.socket_client import V1SocketClientResponse as AgentMessage
from deepgram.agent.v1.types import AgentV1Settings
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.socket_client import V1SocketClientResponse as NovaMessage
from deepgram.listen.v2.socket_client import V2SocketClientResponse as FluxMessage
from deepgram.speak.v1.socket_client import V1SocketClientResponse as SpeakMessage
from shapes import Shape
from websockets.exceptions import InvalidStatus

asked = json.load(sys.stdin)
PORT, KEY = asked["port"], asked["key"]
LOUD = b"\x00\x80" * 80
QUIET = b"\xff" * 160
MULAW = {"encoding": "mulaw", "sample_rate": 8000}


def client(key):
    ws, http = f"ws://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}"
    here = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    return DeepgramClient(api_key=key, environment=here)


class Socket:
    """The client's own connection; what comes is held against its own types."""

    def __init__(self, connection, kind, beyond=()):
        self.connection = connection
        self.shape = Shape(kind, beyond)
        self.audio = 0

    def until(self, kind, event=None):
        seen = []
        while True:
            raw = self.connection._websocket.recv(timeout=10)
            if isinstance(raw, bytes):
                self.audio += len(raw)
                if kind is bytes:
                    return seen
                continue
            self.shape.check(raw)
            seen.append(json.loads(raw))
            if seen[-1]["type"] == kind and event in (None, seen[-1].get("event")):
                return seen

    def speak(self, loud, quiet):
        for frame in [LOUD] * loud + [QUIET] * quiet:
            self.connection.send_media(frame)


def refused(connect):
    try:
        with connect() as connection:
            connection._websocket.recv(timeout=10)
    except (ApiError, InvalidStatus) as refusal:
        return getattr(refusal, "status_code", None) or refusal.response.status_code
    raise SystemExit("it was let in")


deepgram = client(KEY)
assert refused(lambda: client("wrong").listen.v1.connect(model="nova-3")) == 401
assert refused(lambda: deepgram.listen.v1.connect(model="nova-9")) == 400
assert refused(lambda: deepgram.listen.v1.connect(model="nova-3", utterance_end_ms="1000")) == 400
assert refused(lambda: deepgram.listen.v2.connect(model="flux-general-multi", language_hint=["cs"])) == 400
assert refused(lambda: deepgram.speak.v1.connect(model="aura-2-eva-cs")) == 400

with deepgram.listen.v1.connect(
    model="nova-3",
    language="multi",
    language_hint=["en", "es"],
    interim_results="true",
    vad_events="true",
    endpointing="300",
    utterance_end_ms="1000",
    **MULAW,
) as connection:
    nova = Socket(connection, NovaMessage)
    nova.speak(20, 20)
    assert nova.until("SpeechStarted")[0]["timestamp"] >= 0
    assert nova.until("Results")[-1]["is_final"] is False
    result = nova.until("Results")[-1]
    assert result["is_final"] and result["speech_final"], result
    alternative = result["channel"]["alternatives"][0]
    assert (alternative["transcript"], alternative["languages"]) == ("Yes, speaking.", ["en"]), alternative
    connection.send_keep_alive()
    connection.send_finalize()
    assert nova.until("Results")[-1]["from_finalize"]
    connection.send_close_stream()
    assert nova.until("Metadata")[-1]["duration"] > 0.7

with deepgram.listen.v2.connect(
    model="flux-general-multi", eager_eot_threshold="0.5", language_hint=["en", "es"], **MULAW
) as connection:
    flux = Socket(connection, FluxMessage)
    flux.until("Connected")
    flux.speak(20, 9)
    flux.until("TurnInfo", "EagerEndOfTurn")
    flux.speak(5, 20)
    events = [info["event"] for info in flux.until("TurnInfo", "EndOfTurn")]
    assert "TurnResumed" in events and events.count("EagerEndOfTurn") == 1, events
    connection.send_close_stream()

with deepgram.speak.v1.connect(model="aura-2-thalia-en", **MULAW) as connection:
    speak = Socket(connection, SpeakMessage)
    connection._websocket.send(json.dumps({"type": "Speak", "text": "Good morning."}))
    connection.send_flush()
    speak.until("Flushed")
    assert speak.audio == 13 * 60 * 8, speak.audio
    connection._websocket.send(json.dumps({"type": "Speak", "text": "A very long story about everything."}))
    connection.send_flush()
    connection.send_clear()
    speak.until("Cleared")
    for _ in range(20):
        connection.send_flush()
    assert speak.until("Warning")[-1]["code"] == "EXCESSIVE_FLUSH"
    connection.send_close()

settings = {
    "type": "Settings",
    "audio": {"input": MULAW, "output": {**MULAW, "container": "none"}},
    "agent": {
        "language": "en",
        "listen": {"provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en"}},
        "think": {
            "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
            "prompt": "Be brief.",
            "functions": [{"name": "transfer", "description": "", "parameters": {"type": "object", "properties": {}}}],
        },
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        "greeting": "Hello.",
    },
}
with deepgram.agent.v1.connect() as connection:
    agent = Socket(connection, AgentMessage)
    agent.until("Welcome")
    connection.send_settings(AgentV1Settings(**settings))
    agent.until("SettingsApplied")
    seen = [message["type"] for message in agent.until("AgentAudioDone")]
    assert seen == ["ConversationText", "AgentStartedSpeaking", "AgentAudioDone"], seen
    assert agent.audio == 800 * 8, agent.audio
    agent.speak(20, 20)
    agent.until("UserStartedSpeaking")
    assert agent.until("ConversationText")[-1]["content"] == "Yes, speaking."
    call = agent.until("FunctionCallRequest")[-1]["functions"][0]
    assert (call["name"], json.loads(call["arguments"]), call["client_side"]) == ("transfer", {"to": "sales"}, True)
    connection._websocket.send(
        json.dumps({"type": "FunctionCallResponse", "id": call["id"], "name": "transfer", "content": "ok"})
    )
    agent.until("AgentStartedSpeaking")
    connection.send_keep_alive()
    agent.speak(5, 0)
    agent.until("AgentAudioDone")
    connection._websocket.send(json.dumps({"type": "UpdatePromp", "prompt": ""}))
    assert agent.until("Error")[-1]["code"] == "UNPARSABLE_CLIENT_MESSAGE"

print("agreed")
