"""Drives the Gemini Live twin with Google's client, which forbids fields it does not know."""

import asyncio
import json
import sys

from google import genai
from google.genai import types
from websockets.exceptions import ConnectionClosed, InvalidStatus

asked = json.load(sys.stdin)
PORT, KEY = asked["port"], asked["key"]
LOUD = b"\x00\x20\x00\xe0" * 160
QUIET = b"\x00\x00" * 320
MODEL = "gemini-3.8-live"


def client(key):
    google = genai.Client(api_key=key)
    # With a key it talks over TLS to whatever host; this is the one thing changed in it.
    google._api_client._websocket_base_url = lambda *_: f"ws://127.0.0.1:{PORT}"
    google._api_client._websocket_ssl_ctx = {}
    return google


async def until(session, found):
    """Messages up to the first of which `found` gives something."""
    async with asyncio.timeout(10):
        while True:
            message = await session._receive()
            given = found(message)
            if given:
                return given


async def hear(session, loud, quiet):
    for frame in [LOUD] * loud + [QUIET] * quiet:
        await session.send_realtime_input(audio=types.Blob(data=frame, mime_type="audio/pcm;rate=16000"))


def config(**more):
    tool = types.FunctionDeclaration(
        name="transfer", description="Transfers.", parameters_json_schema={"type": "object", "properties": {}}
    )
    return types.LiveConnectConfig(
        response_modalities=["AUDIO"],
        speech_config=types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore"))
        ),
        system_instruction="Be brief.",
        tools=[types.Tool(function_declarations=[tool])],
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        session_resumption=types.SessionResumptionConfig(**more),
        context_window_compression=types.ContextWindowCompressionConfig(
            trigger_tokens=25600, sliding_window=types.SlidingWindow(target_tokens=12800)
        ),
    )


async def main():
    try:
        async with client("wrong").aio.live.connect(model=MODEL, config=config()):
            pass
        raise SystemExit("a wrong key was let in")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 403, refusal

    google = client(KEY)
    async with google.aio.live.connect(model=MODEL, config=config()) as session:
        handle = await until(session, lambda m: m.session_resumption_update and m.session_resumption_update.new_handle)
        assert handle

        await hear(session, 20, 30)
        start = await until(session, lambda m: m.voice_activity)
        assert start.voice_activity_type == types.VoiceActivityType.ACTIVITY_START, start
        heard = await until(session, lambda m: m.server_content and m.server_content.input_transcription)
        assert heard.text and heard.language_code == "en", heard
        audio = await until(session, lambda m: m.data)
        assert len(audio) == 200 * 48, len(audio)
        usage = await until(session, lambda m: m.usage_metadata)
        assert usage.response_token_count == 40 and usage.prompt_tokens_details[1].modality == "AUDIO", usage

        await hear(session, 20, 30)
        call = await until(session, lambda m: m.tool_call)
        (call,) = call.function_calls
        assert (call.name, call.args) == ("transfer", {"to": "sales"}), call
        await session.send_tool_response(
            function_responses=types.FunctionResponse(id=call.id, name=call.name, response={"result": "ok"})
        )
        await until(session, lambda m: m.server_content and m.server_content.output_transcription)
        await hear(session, 20, 0)
        assert await until(session, lambda m: m.server_content and m.server_content.interrupted)
        update = await until(session, lambda m: m.go_away)
        assert update.time_left.endswith("s"), update
        try:
            async with google.aio.live.connect(model=MODEL, config=config(handle=handle)) as second:
                await second._receive()
            raise SystemExit("a session was taken up while it was open")
        except (ConnectionClosed, genai.errors.APIError) as closed:
            assert "1011" in str(closed) or "open" in str(closed), closed

    async with google.aio.live.connect(model=MODEL, config=config(handle=handle)) as session:
        try:
            await session._ws.send(json.dumps({"realtimeInput": {"mediaChunk": []}}))
            await until(session, lambda m: False)
        except (ConnectionClosed, genai.errors.APIError) as closed:
            assert "1007" in str(closed), closed
    print("agreed")


asyncio.run(main())
