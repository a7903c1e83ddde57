"""Drives the carrier twin with the official clients, and checks webhooks with their validators."""

import json
import sys
from urllib.parse import parse_qsl

import telnyx
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

asked = json.load(sys.stdin)
BASE = asked["base"]


class Loopback(TwilioHttpClient):
    def request(self, method, url, *args, **kwargs):
        return super().request(method, url.replace("https://api.twilio.com", BASE), *args, **kwargs)


def refused(error, act):
    try:
        act()
    except error as refusal:
        return refusal
    raise SystemExit(f"{error.__name__} expected")


def check_twilio(given):
    client = Client(given["account"], given["secret"], http_client=Loopback())
    call = client.calls(given["call"]["id"]).fetch()
    assert call.status == "completed", call.status
    assert call.direction == "outbound-api"
    assert int(call.end_time.timestamp()) == given["call"]["ended"], call.end_time
    assert int(call.duration) == given["call"]["duration"], call.duration
    assert call.to.startswith("+1555")

    placed = client.calls.create(
        to="+15550000001",
        from_="+15559999999",
        twiml="<Response><Hangup/></Response>",
        status_callback="https://hooks.example.com/status",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=20,
        machine_detection="Enable",
        async_amd="true",
    )
    assert placed.status == "queued" and placed.queue_time == "0", placed.status
    assert client.calls(placed.sid).fetch().sid == placed.sid
    assert client.calls(placed.sid).update(status="completed").status == "canceled"
    assert refused(TwilioRestException, lambda: client.calls(placed.sid).update(status="completed")).code == 21220
    missing = refused(TwilioRestException, lambda: client.calls("CA" + "0" * 32).fetch())
    assert (missing.status, missing.code) == (404, 20404), missing
    intruder = Client(given["account"], "wrong", http_client=Loopback())
    assert refused(TwilioRestException, lambda: intruder.calls(placed.sid).fetch()).code == 20003

    validator = RequestValidator(given["secret"])
    for webhook in given["webhooks"]:
        form = dict(parse_qsl(webhook["body"], keep_blank_values=True))
        assert validator.validate(webhook["url"], form, webhook["headers"]["x-twilio-signature"]), webhook["url"]
        assert not validator.validate(webhook["url"] + "x", form, webhook["headers"]["x-twilio-signature"])


def check_telnyx(given):
    client = telnyx.Telnyx(api_key=given["secret"], base_url=BASE + "/v2", max_retries=0, public_key=given["public"])
    call = client.calls.retrieve_status(given["call"]["id"]).data
    assert call.is_alive is False
    assert call.call_control_id == given["call"]["id"]
    assert call.call_duration == given["call"]["duration"], call.call_duration
    assert call.end_time.startswith("20")

    dial = dict(connection_id=given["connection"], from_="+15559999999", to="+15550000001", command_id="c1")
    placed = client.calls.dial(**dial, timeout_secs=20, answering_machine_detection="premium", client_state="e30=").data
    assert placed.record_type == "call" and placed.is_alive is False
    assert client.calls.dial(**dial).data.call_control_id == placed.call_control_id
    assert client.calls.retrieve_status(placed.call_control_id).data.is_alive is True
    assert client.calls.actions.hangup(placed.call_control_id).data.result == "ok"
    over = refused(telnyx.UnprocessableEntityError, lambda: client.calls.actions.hangup(placed.call_control_id))
    assert over.body["errors"][0]["code"] == "90018", over.body
    refused(telnyx.NotFoundError, lambda: client.calls.retrieve_status("v3:none"))
    intruder = telnyx.Telnyx(api_key="KEYwrong", base_url=BASE + "/v2", max_retries=0)
    refused(telnyx.AuthenticationError, lambda: intruder.calls.retrieve_status(placed.call_control_id))

    for webhook in given["webhooks"]:
        event = client.webhooks.unwrap(webhook["body"], headers=webhook["headers"])
        assert event.data.event_type == json.loads(webhook["body"])["data"]["event_type"]
        refused(Exception, lambda: client.webhooks.unwrap(webhook["body"] + " ", headers=webhook["headers"]))


check_twilio(asked["twilio"])
check_telnyx(asked["telnyx"])
print("both agree")
