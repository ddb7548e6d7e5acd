"""Groups, requests, changes, presence and privacy, as a client that is not ours has them. Usage: HOST PORT"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = sys.argv[1], int(sys.argv[2])


class Client:
    """A device that answers each delivery by itself, and sorts what it hears by topic."""

    def __init__(self, user, device):
        self.heard, self.done = {}, queue.Queue()
        self.user, self.asked = user, 0
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=device, protocol=mqtt.MQTTv5
        )
        self.mqtt.username_pw_set(user)
        self.mqtt.on_message = self.on_message
        self.mqtt.on_publish = lambda c, _, mid, reason, told: self.done.put(reason)
        self.mqtt.on_subscribe = lambda c, _, mid, reasons, told: self.done.put(reasons[0])
        self.mqtt.connect(HOST, PORT, clean_start=True)
        self.mqtt.loop_start()

    def on_message(self, client, _, message):
        kind = message.topic.split("/")[-1] if message.topic[0] != "m" else "replies"
        self.heard.setdefault(kind, queue.Queue()).put(message)

    def next(self, kind):
        message = self.heard.setdefault(kind, queue.Queue()).get(timeout=20)
        return json.loads(message.payload)

    def subscribe(self, topic):
        self.mqtt.subscribe(topic, qos=1)
        return self.done.get(timeout=20)

    def publish(self, topic, body):
        self.mqtt.publish(topic, body, qos=1)
        return self.done.get(timeout=20)

    def ask(self, method, **arguments):
        """By response topic and correlation data, which has to come back."""
        self.asked += 1
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "me/replies/paho"
        properties.CorrelationData = f"{self.user}-{self.asked}".encode()
        self.mqtt.publish(f"rpc/{method}", json.dumps(arguments), qos=1, properties=properties)
        assert not self.done.get(timeout=20).is_failure
        message = self.heard.setdefault("replies", queue.Queue()).get(timeout=20)
        assert message.properties.CorrelationData == properties.CorrelationData, message.properties
        return json.loads(message.payload)


alice, bob, carol = (Client(name, f"{name}-paho") for name in ("alice", "bob", "carol"))
for one in (alice, bob, carol):
    assert one.subscribe("me/replies/paho").value == 1
    assert one.subscribe("chats/+/messages").value == 1

# A group that one subscription follows, roles, and a member who comes back.
group = alice.ask("groups.create", title="Run", members=["bob"])["ok"]["chat"]
assert bob.next("messages")["event"]["members"] == ["alice", "bob"]
assert alice.ask("groups.add", chat=group, members=["carol", "bob"]) == {"ok": {"members": ["carol"]}}
assert carol.next("messages")["event"] == {"kind": "added", "members": ["carol"]}
refused = bob.ask("groups.update", chat=group, title="Walk")
assert refused["error"]["code"] == 0x87, refused
assert alice.ask("groups.set_role", chat=group, user="bob", role="admin") == {"ok": {}}
assert bob.ask("groups.remove", chat=group, members=["carol"]) == {"ok": {"members": ["carol"]}}
assert not bob.publish(f"chats/{group}/send", "behind her back").is_failure
assert carol.publish(f"chats/{group}/send", "let me in").value == 0x87
assert bob.ask("groups.add", chat=group, members=["carol"]) == {"ok": {"members": ["carol"]}}
heard = [carol.next("messages") for _ in range(3)]
assert [one["event"]["kind"] for one in heard] == ["role", "removed", "added"], heard
assert heard[2]["after"] == heard[1]["seq"], heard
print("groups")

# What is said is changed, and history is what it is now.
alice.publish(f"chats/{group}/send", "at sevn?")
said = carol.next("messages")
alice.publish(f"chats/{group}/edit/{said['seq']}", "at seven?")
carol.publish(f"chats/{group}/react/{said['seq']}", "👍")
assert carol.next("messages")["edit_of"] == said["seq"]
assert carol.next("messages")["body"] == "👍"
history = carol.ask("chats.history", chat=group, limit=3)["ok"]["messages"]
assert history[0]["body"] == "at seven?", history
assert not bob.publish(f"chats/{group}/delete/{said['seq']}", "").is_failure
assert carol.next("messages")["delete_of"] == said["seq"]
history = carol.ask("chats.history", chat=group, limit=4)["ok"]["messages"]
assert history[0]["deleted"] and "body" not in history[0], history
print("edits, reactions, deletions")

# Receipts, typing, presence.
for topic in ("receipts", "typing"):
    assert alice.subscribe(f"chats/+/{topic}").value == 1
assert alice.subscribe("users/+/presence").value == 1
there = sorted((alice.next("presence") for _ in range(2)), key=lambda one: one["user"])
assert there == [{"user": "bob", "online": True}, {"user": "carol", "online": True}], there
carol.publish(f"chats/{group}/typing", "1")
assert alice.next("typing") == {"chat": group, "user": "carol", "typing": True}
carol.publish(f"chats/{group}/read", str(said["seq"]))
while True:
    receipt = alice.next("receipts")
    if (receipt["user"], receipt["read"]) == ("carol", said["seq"]):
        break
carol.mqtt.disconnect()
carol.mqtt.loop_stop()
gone = alice.next("presence")
assert (gone["user"], gone["online"]) == ("carol", False) and gone["last_seen"] > 0, gone
print("receipts, typing, presence")

# A block, and what is nobody else's business.
assert bob.ask("profile.set", name="Bob") == {"ok": {}}
assert alice.ask("users.profile", user="bob") == {"ok": {"name": "Bob"}}
alice.publish("users/bob/send", "hi")
while bob.next("messages").get("body") != "hi":
    pass
assert bob.ask("users.block", user="alice") == {"ok": {}}
assert alice.next("presence") == {"user": "bob", "online": False}
assert not alice.publish("users/bob/send", "are you there?").is_failure
assert bob.ask("users.unblock", user="alice") == {"ok": {}}
assert alice.next("presence") == {"user": "bob", "online": True}
alice.publish("users/bob/send", "again")
message = bob.next("messages")
assert (message["body"], message["after"]) == ("again", 1), message
devices = bob.ask("devices.list")["ok"]["devices"]
assert devices == [{"device": "bob-paho", "online": True, "client": "MQTT 5"}], devices
print("privacy")

for one in (alice, bob):
    one.mqtt.disconnect()
    one.mqtt.loop_stop()
print("all of it")
