"""Two people and three ticks with paho, MQTT 5 and 3.1.1. Usage: HOST PORT"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

HOST, PORT = sys.argv[1], int(sys.argv[2])


def client(user, version):
    made = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=f"{user}-paho", protocol=version
    )
    made.username_pw_set(user)
    made.inbox = queue.Queue()
    made.acks = queue.Queue()
    made.subscribed = queue.Queue()
    made.on_message = lambda c, _, message: c.inbox.put(message)
    made.on_publish = lambda c, _, mid, reason, properties: c.acks.put((mid, reason, properties))
    made.on_subscribe = lambda c, _, mid, reasons, properties: c.subscribed.put(reasons)
    made.connect(HOST, PORT)
    made.loop_start()
    return made


alice = client("alice", mqtt.MQTTv5)
bob = client("bob", mqtt.MQTTv311)
for who, topic in ((alice, "chats/+/receipts"), (bob, "chats/+/messages")):
    who.subscribe(topic, qos=1)
    who.subscribed.get(timeout=20)

properties = Properties(PacketTypes.PUBLISH)
properties.UserProperty = ("id", "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f01")
alice.publish("users/bob/send", "hi bob", qos=1, properties=properties)
_, reason, told = alice.acks.get(timeout=20)
assert not reason.is_failure, reason
assert dict(told.UserProperty)["seq"] == "1", told
print("one tick: stored with seq 1")

message = bob.inbox.get(timeout=20)
got = json.loads(message.payload)
assert (message.topic, got["from"], got["body"]) == ("chats/alice~bob/messages", "alice", "hi bob")

receipt = json.loads(alice.inbox.get(timeout=20).payload)
assert (receipt["user"], receipt["delivered"], receipt["read"]) == ("bob", 1, 0), receipt
print("two ticks: delivered")

bob.publish("chats/alice~bob/read", str(got["seq"]), qos=1)
receipt = json.loads(alice.inbox.get(timeout=20).payload)
assert (receipt["user"], receipt["delivered"], receipt["read"]) == ("bob", 1, 1), receipt
print("blue ticks: read")

for who in (alice, bob):
    who.disconnect()
    who.loop_stop()
print("all ticks seen")
