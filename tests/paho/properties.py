"""What only MQTT 5 can say, as a client that is not ours hears it. Usage: HOST PORT

Ends with the server's goodbye: after the line "waiting for the end" it is to be stopped.
"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT = sys.argv[1], int(sys.argv[2])
ID = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f01"


class Client:
    def __init__(self, user, device):
        self.inbox, self.acks = queue.Queue(), queue.Queue()
        self.subscribed, self.ended = queue.Queue(), queue.Queue()
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=device, protocol=mqtt.MQTTv5
        )
        self.mqtt.username_pw_set(user)
        self.mqtt.on_message = lambda c, _, message: self.inbox.put(message)
        self.mqtt.on_publish = lambda c, _, mid, reason, told: self.acks.put((reason, told))
        self.mqtt.on_subscribe = lambda c, _, mid, reasons, told: self.subscribed.put(reasons)
        self.mqtt.on_disconnect = lambda c, _, flags, reason, told: self.ended.put((flags, reason))
        self.mqtt.connect(HOST, PORT, clean_start=True)
        self.mqtt.loop_start()

    def subscribe(self, topic, number, **options):
        properties = Properties(PacketTypes.SUBSCRIBE)
        properties.SubscriptionIdentifier = number
        options = SubscribeOptions(qos=1, **options)
        self.mqtt.subscribe(topic, options=options, properties=properties)
        return self.subscribed.get(timeout=20)

    def publish(self, topic, body, *user_properties):
        properties = Properties(PacketTypes.PUBLISH)
        if user_properties:
            properties.UserProperty = list(user_properties)
        self.mqtt.publish(topic, body, qos=1, properties=properties)
        return self.acks.get(timeout=20)

    def next(self):
        message = self.inbox.get(timeout=20)
        return json.loads(message.payload), message.properties


alice, bob = Client("alice", "alice-laptop"), Client("bob", "bob-phone")

# A PUBACK says where the message is, and whether it was there before.
reason, told = alice.publish("users/bob/send", "hi bob", ("id", ID))
first = dict(told.UserProperty)
assert not reason.is_failure and first["seq"] == "1" and int(first["at"]) > 0, told
reason, told = alice.publish("users/bob/send", "another body", ("id", ID))
assert dict(told.UserProperty) == {**first, "duplicate": "1"}, told
print("PUBACK: seq, at, duplicate")

# A refusal says why.
reason, told = alice.publish("chats/bob~carol/send", "hi")
assert reason.value == 0x87 and "not a member" in told.ReasonString, (reason, told)
print("PUBACK: reason code and reason string")

# Both subscriptions deliver once, and each says its number.
assert bob.subscribe("chats/+/messages", 7)[0].value == 1
assert bob.subscribe("chats/alice~bob/messages", 9)[0].value == 1
message, told = bob.next()
assert (message["seq"], message["body"]) == (1, "hi bob"), message
alice.publish("users/bob/send", "again")
message, told = bob.next()
assert message["seq"] == 2 and sorted(told.SubscriptionIdentifier) == [7, 9], told
print("subscription identifiers")

# Without one's own: what is left out is explained.
assert alice.subscribe("chats/+/messages", 1, noLocal=True)[0].value == 1
bob.publish("users/alice/send", "for alice")
message, _ = alice.next()
assert (message["seq"], message["body"], message["after"]) == (3, "for alice", 0), message
alice.publish("users/bob/send", "her own")
bob.publish("users/alice/send", "for alice too")
message, _ = alice.next()
assert (message["seq"], message["after"]) == (5, 3), message
print("no local, and after")

# A will waits for its delay, unless its session is back; here the session ends with it.
will = Client("carol", "carol-sensor")
will.mqtt.disconnect()
will.mqtt.loop_stop()
properties = Properties(PacketTypes.WILLMESSAGE)
properties.ContentType = "text/markdown"
will.mqtt.will_set("users/alice/send", "*gone*", qos=1, properties=properties)
will.mqtt.connect(HOST, PORT, clean_start=True)
will.mqtt.loop_start()
reason, _ = will.publish("users/alice/send", "here")
assert not reason.is_failure, reason
goodbye = mqtt.ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
will.mqtt.disconnect(reasoncode=goodbye)
got = [alice.next()[0] for _ in range(2)]
assert [(one["from"], one["type"], one["body"]) for one in got] == [
    ("carol", "text/plain", "here"),
    ("carol", "text/markdown", "*gone*"),
], got
print("a will is a send")

# The server says goodbye.
print("waiting for the end", flush=True)
flags, reason = bob.ended.get(timeout=20)
assert flags.is_disconnect_packet_from_server and reason.value == 0x8B, (flags, reason)
for who in (alice, bob, will):
    who.mqtt.loop_stop()
print("all said")
