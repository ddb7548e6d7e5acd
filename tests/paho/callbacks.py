"""paho with each of its callback versions, MQTT 3.1.1 and 5: a chat and plain topics.

Usage: HOST PORT
"""

import json
import queue
import sys
import warnings

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = sys.argv[1], int(sys.argv[2])
WAIT_S = 20


class Client(mqtt.Client):
    """A client whose callbacks put what they are given into queues."""

    def __init__(self, callbacks, protocol, user, device, persistent=False):
        clean = {} if protocol == mqtt.MQTTv5 else {"clean_session": not persistent}
        super().__init__(callbacks, device, protocol=protocol, **clean)
        self.username_pw_set(user)
        self.ready, self.inbox, self.gone = queue.Queue(), queue.Queue(), queue.Queue()
        self.on_message = lambda _client, _userdata, message: self.inbox.put(message)
        # Version 1 has other arguments for 3.1.1 than for 5; version 2 has the same for both.
        self.on_connect = lambda _client, _userdata, flags, reason, *_: self.ready.put(
            (flags, reason)
        )
        self.on_subscribe = lambda _client, _userdata, mid, *granted: self.ready.put(granted)
        self.on_publish = lambda _client, _userdata, mid, *_: self.ready.put(mid)
        self.on_disconnect = lambda *arguments: self.gone.put(arguments)
        self.persistent = persistent

    def go(self):
        options = {}
        if self.protocol == mqtt.MQTTv5:
            options["clean_start"] = not self.persistent
            if self.persistent:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = 60
        self.connect(HOST, PORT, **options)
        self.loop_start()
        flags, reason = self.ready.get(timeout=WAIT_S)
        assert reason == 0, reason
        return flags

    def listen(self, topic, qos):
        self.subscribe(topic, qos)
        self.ready.get(timeout=WAIT_S)

    def say(self, topic, body, qos=1, retain=False):
        mid = self.publish(topic, body, qos, retain).mid
        assert self.ready.get(timeout=WAIT_S) == mid

    def hear(self, topic):
        message = self.inbox.get(timeout=WAIT_S)
        assert message.topic == topic, (message.topic, message.payload)
        return message

    def leave(self):
        self.disconnect()
        self.gone.get(timeout=WAIT_S)
        self.loop_stop()


def converse(new, chat_no):
    # A chat of their own for each combination.
    alice, bob = new(f"alice{chat_no}", "a"), new(f"bob{chat_no}", "b")
    alice.go(), bob.go()
    chat = f"chats/alice{chat_no}~bob{chat_no}"
    alice.listen("chats/+/receipts", 1)
    bob.listen("chats/+/messages", 1)
    alice.say(f"users/bob{chat_no}/send", "hi bob")
    message = json.loads(bob.hear(f"{chat}/messages").payload)
    assert (message["seq"], message["body"]) == (1, "hi bob"), message
    assert json.loads(alice.hear(f"{chat}/receipts").payload)["delivered"] == 1
    bob.say(f"{chat}/read", "1")
    assert json.loads(alice.hear(f"{chat}/receipts").payload)["read"] == 1
    alice.leave(), bob.leave()


def plain(new, no):
    root = f"paho/{no}"
    away = new("away", f"away{no}", persistent=True)
    away.go()
    away.listen(f"{root}/kept", 2)
    away.leave()
    alice, bob = new("alice", f"a{no}"), new("bob", f"b{no}")
    alice.will_set(f"{root}/will", "lost", 1, retain=True)
    alice.go(), bob.go()
    alice.say(f"{root}/state", "on", retain=True)
    for body, qos in (("one", 1), ("two", 2)):
        alice.say(f"{root}/kept", body, qos)
    bob.listen(f"{root}/state", 1)
    state = bob.hear(f"{root}/state")
    assert (state.payload, state.retain) == (b"on", True)
    bob.listen(f"{root}/will", 1)
    # Gone without a word.
    alice.loop_stop()
    alice.socket().close()
    assert bob.hear(f"{root}/will").payload == b"lost"
    away = new("away", f"away{no}", persistent=True)
    flags = away.go()
    present = flags["session present"] if isinstance(flags, dict) else flags.session_present
    assert present, "its session was kept"
    waited = [away.hear(f"{root}/kept") for _ in range(2)]
    assert [(m.payload, m.qos) for m in waited] == [(b"one", 1), (b"two", 2)], waited
    away.listen(f"$share/g/{root}/jobs", 1)
    bob.say(f"{root}/jobs", "work")
    assert away.hear(f"{root}/jobs").payload == b"work"
    away.leave(), bob.leave()


warnings.simplefilter("ignore", DeprecationWarning)
no = 0
for callbacks in (mqtt.CallbackAPIVersion.VERSION1, mqtt.CallbackAPIVersion.VERSION2):
    for protocol in (mqtt.MQTTv311, mqtt.MQTTv5):
        no += 1

        def new(user, device, persistent=False):
            return Client(callbacks, protocol, user, device, persistent)

        converse(new, no)
        plain(new, no)
        print(callbacks.name, "MQTT 5" if protocol == mqtt.MQTTv5 else "MQTT 3.1.1")
print("all of it")
