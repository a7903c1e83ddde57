"""Makes with the official clients, against a local server, the requests ours should make."""

import json
import sys

from pydantic import TypeAdapter
from telnyx import Telnyx
from telnyx.types.call_dial_params import CallDialParams
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

asked = json.load(sys.stdin)
base = asked["base"]


class Local(TwilioHttpClient):
    def request(self, method, url, *args, **kwargs):
        return super().request(method, url.replace("https://api.twilio.com", base), *args, **kwargs)


def twilio(steps):
    client = Client(asked["user"], asked["password"], asked["account"], http_client=Local())
    for step in steps:
        if step["do"] == "create":
            call = client.calls.create(**step["with"])
            assert call.sid and call.queue_time == "1500", "the SDK does not read the answer"
        elif step["do"] == "update":
            client.calls(step["id"]).update(**step["with"])
        else:
            client.calls(step["id"]).fetch()


def telnyx(steps):
    client = Telnyx(api_key=asked["password"], base_url=f"{base}/v2", max_retries=0)
    for step in steps:
        if step["do"] == "dial":
            TypeAdapter(CallDialParams).validate_python(dict(step["with"], from_=step["with"]["from"]))
            args = dict(step["with"])
            args["from_"] = args.pop("from")
            answer = client.calls.dial(**args)
            assert answer.data.call_control_id == "v3:abc/def+x", "the SDK does not read the answer"
        elif step["do"] == "status":
            client.calls.retrieve_status(step["id"])
        elif step["do"] == "list_conferences":
            client.conferences.list(extra_query={"filter[name]": step["name"], "page[size]": "20"})
        elif step["do"] == "join":
            client.conferences.actions.join(step["id"], **step["with"])
        elif step["do"] == "create_conference":
            client.conferences.create(**step["with"])
        else:
            getattr(client.calls.actions, step["do"])(step["id"], **step["with"])


(twilio if asked["carrier"] == "twilio" else telnyx)(asked["steps"])
print("{}")
