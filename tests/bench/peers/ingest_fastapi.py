"""The way in as a Python team would build it well: FastAPI on uvicorn (uvloop, httptools), aiokafka, PyNaCl, orjson.

`voice bench ingest` starts it. It checks the signature and the age of a webhook, understands it, appends one
CloudEvent with acks=all and answers 200 after the broker's confirmation. Unlike the service it is measured beside,
it opens no sealed call context, has no limits, remembers no deliveries, keeps no dead letters and counts nothing.
"""

import base64
import hashlib
import hmac
import os
import socket
import time
import uuid
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from urllib.parse import parse_qsl

import orjson
import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request, Response
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

TOPIC = os.environ["KAFKA_TOPIC"]
PUBLIC = os.environ["PUBLIC_BASE_URL"]
TELNYX_KEY = VerifyKey(base64.b64decode(os.environ["TELNYX_PUBLIC_KEY"]))
TWILIO_TOKEN = os.environ["TWILIO_AUTH_TOKEN"].encode()
TENANT = str(uuid.uuid4())
TOLERANCE_SECONDS = 300

TELNYX_TYPES = {
    "call.initiated": "call.initiated",
    "call.answered": "call.answered",
    "call.bridged": "call.bridged",
    "call.hangup": "call.ended",
}
TWILIO_TYPES = {
    "initiated": "call.initiated",
    "ringing": "call.ringing",
    "in-progress": "call.answered",
    "completed": "call.ended",
}

producer: AIOKafkaProducer


@asynccontextmanager
async def lifespan(_: FastAPI):
    global producer
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BROKERS"],
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=int(os.environ["KAFKA_LINGER_MS"]),
    )
    await producer.start()
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan, openapi_url=None)


def event(kind, carrier, call_id, dedupe_key, carrier_event, at, received_at):
    """The CloudEvent and its record key."""
    digest = hashlib.sha256(f"{carrier}/{call_id}/{dedupe_key}".encode()).digest()
    subject = str(uuid.UUID(bytes=hashlib.sha256(f"{carrier}/{call_id}".encode()).digest()[:16], version=4))
    value = {
        "specversion": "1.0",
        "id": str(uuid.UUID(bytes=digest[:16], version=4)),
        "source": f"/ingest/{carrier}",
        "type": kind,
        "subject": subject,
        "time": at,
        "dataschema": "call-event.v1.json",
        "tenantid": TENANT,
        "correlationid": subject,
        "data": {
            "call": {"call_id": subject, "direction": "outbound", "carrier": carrier, "carrier_call_id": call_id},
            "evidence": {"carrier_event": carrier_event, "dedupe_key": dedupe_key, "received_at": received_at},
        },
    }
    return orjson.dumps(value), subject.encode()


def now_text():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@app.post("/hooks/telnyx/{ingress}/call")
async def telnyx(ingress: str, request: Request) -> Response:
    body = await request.body()
    try:
        stamp = request.headers["telnyx-timestamp"]
        signature = base64.b64decode(request.headers["telnyx-signature-ed25519"])
        TELNYX_KEY.verify(stamp.encode() + b"|" + body, signature)
    except (KeyError, ValueError, BadSignatureError):
        return Response(status_code=403)
    if abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return Response(status_code=200)
    data = orjson.loads(body)["data"]
    kind = TELNYX_TYPES.get(data["event_type"])
    if kind is not None:
        call_id = data["payload"]["call_control_id"]
        value, key = event(kind, "telnyx", call_id, data["id"], data["event_type"], data["occurred_at"], now_text())
        await producer.send_and_wait(TOPIC, value, key)
    return Response(status_code=200)


@app.post("/hooks/twilio/{ingress}/status")
async def twilio(ingress: str, request: Request) -> Response:
    body = await request.body()
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    url = f"{PUBLIC}{request.url.path}?{request.url.query}"
    signed = url + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.digest(TWILIO_TOKEN, signed.encode(), "sha1")).decode()
    if not hmac.compare_digest(signature, request.headers.get("x-twilio-signature", "")):
        return Response(status_code=403)
    kind = TWILIO_TYPES.get(form["CallStatus"])
    if kind is not None:
        at = now_text()
        dedupe_key = f"{form['CallSid']}/{form['SequenceNumber']}"
        value, key = event(kind, "twilio", form["CallSid"], dedupe_key, form["CallStatus"], at, at)
        await producer.send_and_wait(TOPIC, value, key)
    return Response(status_code=200)


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    host, port = listener.getsockname()
    print(f"{host}:{port}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
