"""Judges signatures with the official validators and signs for us to judge."""

import base64
import json
import sys
import time

from nacl.signing import SigningKey
from telnyx import Telnyx
from twilio.request_validator import RequestValidator


class Form(dict):
    """A form with repeated keys, as web frameworks hand it to the validator."""

    def __init__(self, pairs):
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def getlist(self, name):
        return self[name]


def twilio(case):
    validator = RequestValidator(case["token"])
    params = case["body"] if "body" in case else Form(case["form"])
    signed = {} if "body" in case else params
    return {
        "accepts": validator.validate(case["url"], params, case["signature"]),
        "signature": validator.compute_signature(case["sign_url"], signed),
        "sha256": validator.compute_signature(case["sign_url"], signed, "HMAC_SHA256"),
    }


def telnyx(case, now):
    key = SigningKey(base64.b64decode(case["seed"]))
    client = Telnyx(api_key="unused", public_key=base64.b64encode(bytes(key.verify_key)).decode())

    def accepts(body, headers):
        try:
            client.webhooks.unwrap(body, headers=headers)
        except Exception:  # the class differs between releases; that it refuses does not
            return False
        return True

    good = case["headers"]
    tampered = dict(good, **{"telnyx-timestamp": str(int(good["telnyx-timestamp"]) + 1)})
    signature = key.sign(f"{now}|{case['body']}".encode()).signature
    return {
        "accepts": accepts(case["body"], good),
        "accepts_other_body": accepts(case["body"].replace("call", "cell", 1), good),
        "accepts_other_time": accepts(case["body"], tampered),
        "signature": base64.b64encode(signature).decode(),
    }


cases = json.load(sys.stdin)
now = int(time.time())
json.dump(
    {
        "now": now,
        "twilio": [twilio(case) for case in cases["twilio"]],
        "telnyx": [telnyx(case, now) for case in cases["telnyx"]],
    },
    sys.stdout,
)
