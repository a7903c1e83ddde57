"""Drives the twin of chat completions with OpenAI's client."""

import json
import sys

import openai

asked = json.load(sys.stdin)
client = openai.OpenAI(api_key=asked["key"], base_url=f"http://127.0.0.1:{asked['port']}/v1", max_retries=0)
ask = {"model": "gpt-5.6-luna", "stream": True, "stream_options": {"include_usage": True}}
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]


def complete(messages, **more):
    text, calls, usage = "", [], None
    for chunk in client.chat.completions.create(messages=messages, **ask, **more):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            calls += choice.delta.tool_calls or []
    return text, calls, usage


text, calls, usage = complete(messages)
assert (text, calls) == ("Good morning.", []) and usage.prompt_tokens == 3, (text, usage)
messages.append({"role": "assistant", "content": text})
tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
text, calls, _ = complete([*messages, {"role": "user", "content": "Look it up."}], tools=[tool])
arguments = "".join(call.function.arguments for call in calls)
assert (calls[0].function.name, json.loads(arguments)) == ("lookup", {"id": "7"}), calls

asked_for = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}]}
for wrong in (
    [*messages, asked_for, {"role": "user", "content": "Well?"}],
    [*messages, {"role": "tool", "tool_call_id": "call_1", "content": "{}"}],
):
    try:
        complete(wrong)
        raise SystemExit("an unanswered call was taken")
    except openai.BadRequestError as refusal:
        assert refusal.param == "messages", refusal
try:
    complete(messages, extra_body={"colour": "red"})
    raise SystemExit("an unknown field was taken")
except openai.BadRequestError as refusal:
    assert refusal.code == "unknown_parameter", refusal
try:
    openai.OpenAI(api_key="wrong", base_url=client.base_url, max_retries=0).chat.completions.create(
        messages=messages, **ask
    )
    raise SystemExit("a wrong key was let in")
except openai.AuthenticationError as refusal:
    assert refusal.code == "invalid_api_key", refusal
print("agreed")
