"""A chat with ticks, on paho-mqtt 2. What you type goes to PEER. Usage: chat.py HOST PORT USER PEER"""
import json
import sys
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

host, port, user, peer = sys.argv[1:]
under_way = []  # publishes that wait for their PUBACK

def on_connect(client, _, flags, reason, properties):
    print("refused" if reason.is_failure else "online", flush=True)
    options = SubscribeOptions(qos=1, noLocal=True)  # not what this device sends itself
    client.subscribe([("chats/+/messages", options), ("chats/+/receipts", options)])

def on_message(client, _, packet):
    said = json.loads(packet.payload)
    if packet.topic.endswith("/receipts"):
        if said.get("user") == peer:
            print(f"✓✓ {peer} has got {said['delivered']} and read {said['read']}", flush=True)
    elif said["from"] != user:
        print(f"{said['from']}: {said.get('body', '…')}", flush=True)
        client.publish(f"chats/{said['chat']}/read", str(said["seq"]), qos=1)

def on_publish(client, _, mid, reason, properties):
    answer = dict(getattr(properties, "UserProperty", []))
    if reason.is_failure:
        print(f"refused: {getattr(properties, 'ReasonString', reason)}", flush=True)
    elif "seq" in answer:  # a PUBACK is a tick: it is on the server's disk, with this place
        print(f"✓ {answer['seq']}", flush=True)

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"{user}-py", protocol=mqtt.MQTTv5)
client.username_pw_set(user)
client.on_connect, client.on_message, client.on_publish = on_connect, on_message, on_publish
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 30 * 24 * 3600  # what comes while it does not run waits for it
client.connect(host, int(port), clean_start=False, properties=session)
client.loop_start()  # connects again by itself, and sends again what had no PUBACK
for line in sys.stdin:
    # The id makes it one message, however often it is sent.
    under_way.append(client.publish(f"users/{peer}/send/{uuid.uuid4()}", line.rstrip("\n"), qos=1))
for publish in under_way:
    publish.wait_for_publish()
client.disconnect()
