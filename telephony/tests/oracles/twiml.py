"""Builds with Twilio's own TwiML builder what our instructions should say, and compares."""

import json
import sys
import xml.etree.ElementTree as ElementTree

from twilio.twiml.voice_response import Connect, Dial, Gather, Stream, VoiceResponse


def given(options):
    return {name: value for name, value in options.items() if value is not None}


def prompt(parent, step):
    if step["verb"] == "say":
        parent.say(step["text"], **given({"voice": step["voice"], "language": step["language"]}))
    elif step["verb"] == "play":
        parent.play(step["url"])
    else:
        parent.pause(length=step["seconds"])


def build(steps):
    response = VoiceResponse()
    for step in steps:
        verb = step["verb"]
        if verb in ("say", "play", "pause"):
            prompt(response, step)
        elif verb == "gather":
            gather = Gather(input=step["input"], **given(step["options"]))
            for inner in step["prompts"]:
                prompt(gather, inner)
            response.append(gather)
        elif verb == "stream":
            connect = Connect()
            stream = Stream(url=step["url"], **given({"name": step["name"]}))
            for name, value in step["parameters"]:
                stream.parameter(name=name, value=value)
            connect.append(stream)
            response.append(connect)
        elif verb == "conference":
            dial = Dial()
            dial.conference(step["room"], **given(step["options"]))
            response.append(dial)
        elif verb == "transfer":
            dial = Dial()
            dial.number(step["to"])
            response.append(dial)
        elif verb == "record":
            response.record(**given(step["options"]))
        elif verb == "redirect":
            response.redirect(step["url"])
        elif verb == "hangup":
            response.hangup()
        elif verb == "reject":
            response.reject(reason=step["reason"])
    return str(response)


def tree(text):
    def node(element):
        return [element.tag, sorted(element.attrib.items()), element.text or "", [node(child) for child in element]]

    return node(ElementTree.fromstring(text.encode()))


answers = []
for case in json.load(sys.stdin):
    theirs = build(case["steps"])
    answers.append({"same": tree(theirs) == tree(case["ours"]), "theirs": theirs})
json.dump(answers, sys.stdout)
