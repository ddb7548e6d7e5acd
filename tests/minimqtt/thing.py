"""A thing with CircuitPython's MiniMQTT (MQTT 3.1.1): reports, takes commands, is missed.

Usage: HOST PORT
"""

import json
import socket
import ssl
import sys

import adafruit_minimqtt.adafruit_minimqtt as minimqtt

HOST, PORT = sys.argv[1], int(sys.argv[2])


def client(user):
    made = minimqtt.MQTT(
        broker=HOST,
        port=PORT,
        username=user,
        password="",
        client_id=f"{user}-client",
        is_ssl=False,
        socket_pool=socket,
        ssl_context=ssl.create_default_context(),
        socket_timeout=0.05,
        recv_timeout=20,
    )
    made.heard = []
    made.on_message = lambda _, topic, payload: made.heard.append((topic, payload))
    return made


def hear(who, count):
    for _ in range(400):
        if len(who.heard) >= count:
            break
        who.loop(timeout=0.05)
    assert len(who.heard) >= count, who.heard
    heard, who.heard = who.heard[:count], who.heard[count:]
    return heard


thing, owner = client("thing"), client("owner")
thing.will_set("things/1/state", "lost", qos=1, retain=True)
# Its pool of sockets wants a name for each connection to the same place.
thing.connect(clean_session=False, session_id="thing")
owner.connect(session_id="owner")
owner.subscribe("things/1/state", 1)
thing.publish("things/1/state", "on", retain=True, qos=1)
assert hear(owner, 1) == [("things/1/state", "on")]

thing.subscribe("things/1/commands", 1)
owner.publish("things/1/commands", "off", qos=1)
assert hear(thing, 1) == [("things/1/commands", "off")]
print("commanded")

# A chat is one more topic: it writes to its owner, who answers.
owner.subscribe("chats/+/messages", 1)
thing.subscribe("chats/+/messages", 1)
thing.publish("users/owner/send", "too warm", qos=1)
topic, message = hear(owner, 1)[0]
assert (topic, json.loads(message)["body"]) == ("chats/owner~thing/messages", "too warm")
assert hear(thing, 1)[0][0] == "chats/owner~thing/messages", "its own message"
owner.publish("chats/owner~thing/send", "open the window", qos=1)
topic, message = hear(thing, 1)[0]
assert json.loads(message)["body"] == "open the window"
hear(owner, 1)
print("conversed")

# It is gone without a word.
thing._sock.close()
assert hear(owner, 1) == [("things/1/state", "lost")]
owner.publish("things/1/commands", "on", qos=1)
thing = client("thing")
thing.connect(clean_session=False, session_id="thing again")
assert hear(thing, 1) == [("things/1/commands", "on")], "it waited"
thing.disconnect()
owner.disconnect()
print("all of it")
