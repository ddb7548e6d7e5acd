"""Messages of many frames over WebSocket, MQTT 5 and 3.1.1. Usage: PORT CAFILE (empty: no TLS)"""

import json
import queue
import sys

import paho.mqtt.client as mqtt

PORT, CAFILE = int(sys.argv[1]), sys.argv[2]
BODIES = ["hi bob", "x" * 200_000, "the end"]


def client(user, version):
    made = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=f"{user}-{PORT}",
        protocol=version,
        transport="websockets",
    )
    made.username_pw_set(user)
    if CAFILE:
        made.tls_set(CAFILE)
    made.inbox = queue.Queue()
    made.subscribed = queue.Queue()
    made.on_message = lambda c, _, message: c.inbox.put(message)
    made.on_subscribe = lambda c, _, mid, reasons, properties: c.subscribed.put(reasons)
    made.connect("localhost", PORT)
    made.loop_start()
    return made


alice = client("alice", mqtt.MQTTv5)
bob = client("bob", mqtt.MQTTv311)
bob.subscribe("chats/+/messages", qos=1)
bob.subscribed.get(timeout=20)
for body in BODIES:
    alice.publish("users/bob/send", body, qos=1).wait_for_publish(timeout=20)
for body in BODIES:
    got = json.loads(bob.inbox.get(timeout=20).payload)
    assert got["body"] == body, got["body"][:20]
for who in (alice, bob):
    who.disconnect()
    who.loop_stop()
print("all came")
