"""A Twilio call bridged to OpenAI Realtime by Pipecat, as its manual sets it up: FastAPI on uvicorn (uvloop, httptools).

`voice bench media` starts it. One process carries all calls. With TUNED its resamplers are the quickest ones, which
hold nothing back, and it neither follows turns nor serves RTVI. It writes no log in either case.
"""

import functools
import json
import os
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger

logger.remove()

import pipecat.audio.utils  # noqa: E402
from pipecat.audio.resamplers.soxr_stream_resampler import SOXRStreamAudioResampler  # noqa: E402

TUNED = "TUNED" in os.environ
if TUNED:
    # Before anybody imports it by name.
    pipecat.audio.utils.create_stream_resampler = functools.partial(SOXRStreamAudioResampler, quality="QQ")

from pipecat.frames.frames import LLMRunFrame  # noqa: E402
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.worker import PipelineParams, PipelineWorker  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair  # noqa: E402
from pipecat.serializers.twilio import TwilioFrameSerializer  # noqa: E402
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService  # noqa: E402
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport  # noqa: E402
from pipecat.workers.runner import WorkerRunner  # noqa: E402

PROVIDER = os.environ["PROVIDER"] + "/v1/realtime"
LEFT_OUT = {"enable_rtvi": False, "enable_turn_tracking": False} if TUNED else {}

app = FastAPI(openapi_url=None)


@app.websocket("/ws")
async def call(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive_text()
    start = json.loads(await websocket.receive_text())["start"]
    serializer = TwilioFrameSerializer(
        stream_sid=start["streamSid"],
        call_sid=start["callSid"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer)
    transport = FastAPIWebsocketTransport(websocket=websocket, params=params)
    model = "bench-" + start["customParameters"]["number"]
    llm = OpenAIRealtimeLLMService(
        api_key="bench", base_url=PROVIDER, settings=OpenAIRealtimeLLMService.Settings(model=model)
    )
    context = LLMContext([{"role": "developer", "content": "Be brief."}])
    user, assistant = LLMContextAggregatorPair(context)
    worker = PipelineWorker(
        Pipeline([transport.input(), user, llm, transport.output(), assistant]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        **LEFT_OUT,
    )

    @transport.event_handler("on_client_connected")
    async def connected(transport, client):
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def disconnected(transport, client):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def end_with_the_bench():
    """The bench closes the input of a server it is done with, also when the bench itself dies."""
    sys.stdin.read()
    os._exit(0)


def main():
    threading.Thread(target=end_with_the_bench, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    host, port = listener.getsockname()
    print(f"{host}:{port}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
