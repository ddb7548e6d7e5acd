"""What Eclipse's interoperability suite looks at, 27 scenarios of MQTT 5 and 10 of 3.1.1 (and one
more, unsubscribing), in our own words and without its pauses: a ping says that nothing more has
come. Packets are written and read here; paho has the properties. Usage: HOST PORT
"""

import socket
import struct
import sys
import time

from paho.mqtt.packettypes import PacketTypes as T
from paho.mqtt.properties import Properties

HOST, PORT = sys.argv[1], int(sys.argv[2])
WAIT_S = 20


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(value)) + value


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            setattr(made, name, one)
    return made


class Closed(Exception):
    """The server has closed the connection."""


class Packet:
    """A packet of the server."""

    mid, topic, payload, codes = 0, "", b"", b""

    def __init__(self, first, body, v5):
        self.kind, self.qos = first >> 4, first >> 1 & 3
        self.retain, self.dup = bool(first & 1), bool(first & 8)
        self.props = Properties(self.kind if self.kind != T.PINGRESP else T.PUBLISH)
        at = 0
        if self.kind == T.CONNACK:
            self.present, self.reason, at = body[0] == 1, body[1], 2
        elif self.kind == T.PUBLISH:
            at = 2 + struct.unpack("!H", body[:2])[0]
            self.topic = body[2:at].decode()
            if self.qos:
                self.mid, at = struct.unpack("!H", body[at : at + 2])[0], at + 2
        elif self.kind == T.DISCONNECT:
            self.reason, at = (body or b"\0")[0], 1
        elif self.kind != T.PINGRESP:
            self.mid, at = struct.unpack("!H", body[:2])[0], 2
            if self.kind not in (T.SUBACK, T.UNSUBACK):
                self.reason, at = (body[2:3] or b"\0")[0], 3
        if v5 and at < len(body):
            at += self.props.unpack(body[at:])[1]
        self.payload = self.codes = body[at:]


class Client:
    """A client that does nothing by itself but read whole packets."""

    def __init__(self, name, v5=True, clean=True, keepalive=0, will=None, will_props={}, **props):
        self.v5, self.mid = v5, 0
        self.sock = socket.create_connection((HOST, PORT))
        self.sock.settimeout(WAIT_S)
        flags = 0x80 | clean << 1 | (0x0C if will else 0)
        body = text("MQTT") + struct.pack("!BBH", 5 if v5 else 4, flags, keepalive)
        body += self.packed(T.CONNECT, props) + text(name)
        if will:
            body += self.packed(T.WILLMESSAGE, will_props) + text(will[0]) + text(will[1])
        self.connect_packet = self.send(0x10, body + text("tester"))
        ack = self.read()
        assert ack.kind == T.CONNACK, ack.kind
        self.present, self.reason, self.props = ack.present, ack.reason, ack.props

    def packed(self, kind, values):
        return properties(kind, **values).pack() if self.v5 else b""

    def send(self, first, body):
        length, rest = b"", len(body)
        while True:
            rest, digit = rest >> 7, rest & 127
            length += bytes([digit | (128 if rest else 0)])
            if not rest:
                break
        packet = bytes([first]) + length + body
        self.sock.sendall(packet)
        return packet

    def take(self, count):
        taken = b""
        while len(taken) < count:
            try:
                more = self.sock.recv(count - len(taken))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed
            taken += more
        return taken

    def read(self):
        first, length, shift = self.take(1)[0], 0, 0
        while True:
            byte = self.take(1)[0]
            length, shift = length | (byte & 127) << shift, shift + 7
            if byte < 128:
                return Packet(first, self.take(length), self.v5)

    def ask(self, first, body, answer, got=None):
        """Sends, and reads to the answer; messages on the way are acknowledged and go to `got`."""
        self.send(first, body)
        return self.until(answer, [] if got is None else got)

    def until(self, kind, got):
        while True:
            packet = self.read()
            if packet.kind == T.PUBLISH:
                got.append(packet)
                if packet.qos:
                    self.send((0, 0x40, 0x50)[packet.qos], struct.pack("!H", packet.mid))
            elif packet.kind == T.PUBREL:
                self.send(0x70, struct.pack("!H", packet.mid))
            if packet.kind == kind:
                return packet

    def next_mid(self):
        self.mid += 1
        return struct.pack("!H", self.mid)

    def subscribe(self, *filters, got=None, **props):
        body = self.next_mid() + self.packed(T.SUBSCRIBE, props)
        body += b"".join(text(name) + bytes([options]) for name, options in filters)
        return list(self.ask(0x82, body, T.SUBACK, got).codes)

    def unsubscribe(self, name):
        self.ask(0xA2, self.next_mid() + self.packed(T.UNSUBSCRIBE, {}) + text(name), T.UNSUBACK)

    def publish(self, topic, payload="x", qos=1, retain=False, got=None, **props):
        """Also what comes of it to the publisher itself goes to `got`, as far as it is there."""
        body = text(topic) + (self.next_mid() if qos else b"") + self.packed(T.PUBLISH, props)
        body += payload.encode() if isinstance(payload, str) else payload
        first, got = 0x30 | qos << 1 | retain, [] if got is None else got
        if qos == 0:
            return self.send(first, body)
        ack = self.ask(first, body, (0, T.PUBACK, T.PUBREC)[qos], got)
        if qos == 2 and ack.reason < 0x80:
            return self.ask(0x62, struct.pack("!H", ack.mid), T.PUBCOMP, got)
        return ack

    def heard(self, count=None):
        """What has come, or (to be waited for) so many messages."""
        got = []
        self.ask(0xC0, b"", T.PINGRESP, got)
        while count is not None and len(got) < count:
            self.until(T.PUBLISH, got)
        self.ask(0xC0, b"", T.PINGRESP, got)
        return got

    def leave(self, reason=0, **props):
        body = bytes([reason]) + self.packed(T.DISCONNECT, props) if props or reason else b""
        self.send(0xE0, body)
        try:
            while True:
                self.read()
        except Closed:
            self.sock.close()

    def vanish(self):
        self.sock.close()

    def reason_of_end(self):
        """Why the server ends the connection; `None`: it closes without a word."""
        try:
            return self.until(T.DISCONNECT, []).reason
        except Closed:
            return None


SCENARIOS = []


def scenario(*versions):
    def keep(function):
        SCENARIOS.extend((function, v5) for v5 in versions)
        return function

    return keep


BOTH, FIVE, FOUR = (False, True), (True,), (False,)
PAIRS = [("a", "2"), ("c", "3")]


def lasting(v5, seconds=600):
    return {"SessionExpiryInterval": seconds} if v5 else {}


def bodies(got):
    return [packet.payload for packet in got]


@scenario(*BOTH)
def basic(v5, root):
    Client(root, v5).leave()
    client = Client(root, v5)
    client.subscribe((root, 2))
    got = []
    for qos in range(3):
        client.publish(root, f"qos {qos}", qos, got=got)
    assert sorted(bodies(got + client.heard(3 - len(got)))) == [b"qos 0", b"qos 1", b"qos 2"]
    client.sock.sendall(client.connect_packet)
    assert client.reason_of_end() == (0x82 if v5 else None)
    stranger = socket.create_connection((HOST, PORT))
    stranger.settimeout(WAIT_S)
    stranger.sendall(b"\x10\x0c\x00\x02hj" + b"\x05\x02\x00\x00\x00\x00\x00\x00")
    try:
        while stranger.recv(64):
            pass
    except ConnectionResetError:
        pass


@scenario(*BOTH)
def retained_messages(v5, root):
    client = Client(root, v5)
    props = {"UserProperty": PAIRS} if v5 else {}
    for qos in range(3):
        client.publish(f"{root}/{qos}", "kept", qos, retain=True, **props)
    got = []
    client.subscribe((f"{root}/+", 2), got=got)
    got += client.heard(3 - len(got))
    assert sorted(packet.qos for packet in got) == [0, 1, 2] and all(p.retain for p in got)
    assert not v5 or all(packet.props.UserProperty == PAIRS for packet in got)
    for qos in range(3):
        client.publish(f"{root}/{qos}", "", qos, retain=True)
    client.heard()
    client.subscribe((f"{root}/+", 2), got=got)
    assert len(got + client.heard()) == 3, "they are removed"


@scenario(*BOTH)
def will_message(v5, root):
    listener = Client(root + "l", v5)
    listener.subscribe((root, 2))
    props = {"will_props": {"UserProperty": PAIRS}} if v5 else {}
    Client(root, v5, will=(root, "will"), **props).vanish()
    (will,) = listener.heard(1)
    assert will.payload == b"will" and (not v5 or will.props.UserProperty == PAIRS)
    Client(root, v5, will=(root, "will"), **props).leave()
    assert not listener.heard(), "an ordered end has none"


@scenario(*BOTH)
def zero_length_client_id(v5, root):
    assert Client("", v5, clean=True).reason == 0
    assert Client("", v5, clean=False).reason == (0 if v5 else 2)


@scenario(*BOTH)
def offline_message_queueing(v5, root):
    away = Client(root, v5, clean=False, **lasting(v5))
    away.subscribe((f"{root}/+", 2))
    away.leave()
    client = Client(root + "p", v5)
    for qos in range(3):
        client.publish(f"{root}/{qos}", "x", qos)
    away = Client(root, v5, clean=False, **lasting(v5))
    got = away.heard(2)
    assert away.present and [p.qos for p in got] in ([1, 2], [0, 1, 2]), [p.qos for p in got]


@scenario(*BOTH)
def overlapping_subscriptions(v5, root):
    client = Client(root, v5)
    client.subscribe((f"{root}/#", 2), (f"{root}/+", 1))
    got = []
    client.publish(f"{root}/a", "x", 2, got=got)
    got += client.heard(1 - len(got)) if not got else client.heard()
    assert sorted(p.qos for p in got) in ([2], [1, 2]), [p.qos for p in got]


@scenario(*BOTH)
def keep_alive(v5, root):
    listener = Client(root + "l", v5)
    listener.subscribe((root, 2))
    client = Client(root, v5, keepalive=1, will=(root, "silent"))
    assert bodies(listener.heard(1)) == [b"silent"]
    assert client.reason_of_end() == (0x8D if v5 else None)


@scenario(*BOTH)
def redelivery_on_reconnect(v5, root):
    client = Client(root, v5, clean=False, **lasting(v5))
    client.subscribe((f"{root}/#", 2))
    other = Client(root + "p", v5)
    other.publish(f"{root}/1", "one", 1)
    other.publish(f"{root}/2", "two", 2)
    first = {packet.mid: packet for packet in (client.read(), client.read())}
    client.vanish()
    client = Client(root, v5, clean=False, **lasting(v5))
    again = client.heard(2)
    assert client.present and sorted(bodies(again)) == [b"one", b"two"]
    assert all(packet.dup and packet.mid in first for packet in again)


@scenario(*BOTH)
def subscribe_failure(v5, root):
    client = Client(root, v5)
    granted = client.subscribe(("elsewhere/secret", 2), (root, 2))
    assert granted == [0x87 if v5 else 0x80, 2], granted


@scenario(*BOTH)
def dollar_topics(v5, root):
    client = Client(root, v5)
    client.subscribe((f"{root}/+", 2))
    client.publish(f"${root}/a", "x", 1)
    assert not client.heard()


@scenario(*BOTH)
def unsubscribe(v5, root):
    client, other = Client(root, v5), Client(root + "p", v5)
    for name in "abc":
        client.subscribe((f"{root}/{name}", 2))
    client.unsubscribe(f"{root}/a")
    for name in "abc":
        other.publish(f"{root}/{name}", name)
    assert bodies(client.heard(2)) == [b"b", b"c"]


@scenario(*FIVE)
def session_expiry(v5, root):
    def come(seconds, clean=False):
        client = Client(root, clean=clean, SessionExpiryInterval=seconds)
        return client, client.present

    come(0, clean=True)[0].leave()
    client, present = come(600)
    assert not present, "it was to end at once"
    client.leave()
    client, present = come(1)
    assert present
    client.leave()
    time.sleep(1.2)
    client, present = come(1)
    assert not present, "its second is over"
    client.leave(SessionExpiryInterval=600)
    time.sleep(1.2)
    client, present = come(1)
    assert present, "DISCONNECT has made it longer"
    client.leave(SessionExpiryInterval=0)
    assert not come(0)[1], "DISCONNECT has ended it"


def properties_arrive(root, **props):
    client = Client(root)
    client.subscribe((root, 2))
    got = []
    for qos in range(3):
        client.publish(root, "", qos, got=got, **props)
    got += client.heard(3 - len(got))
    assert sorted(packet.qos for packet in got) == [0, 1, 2]
    for packet in got:
        for name, value in props.items():
            assert getattr(packet.props, name) == value, packet.props


@scenario(*FIVE)
def user_properties(v5, root):
    properties_arrive(root, UserProperty=PAIRS)


@scenario(*FIVE)
def payload_format(v5, root):
    properties_arrive(root, PayloadFormatIndicator=1, ContentType="My name")


@scenario(*FIVE)
def publication_expiry(v5, root):
    away = Client(root, SessionExpiryInterval=600)
    away.subscribe((root, 2))
    away.leave()
    client = Client(root + "p")
    for qos in (1, 2):
        client.publish(root, "expires", qos, MessageExpiryInterval=1)
        client.publish(root, "stays", qos, MessageExpiryInterval=60)
    time.sleep(1.2)
    got = Client(root, clean=False, SessionExpiryInterval=600).heard(2)
    assert bodies(got) == [b"stays"] * 2, bodies(got)
    assert all(packet.props.MessageExpiryInterval < 60 for packet in got)


@scenario(*FIVE)
def subscribe_options(v5, root):
    no_local, as_published = 4, 8
    one, two = Client(root + "1"), Client(root + "2")
    for client in (one, two):
        client.subscribe((root, 2 | no_local))
    one.publish(root, "x")
    assert len(two.heard(1)) == 1 and not one.heard()
    one.subscribe((f"{root}/r", 2 | as_published))
    got = []
    one.publish(f"{root}/r", "x", got=got)
    one.publish(f"{root}/r", "x", retain=True, got=got)
    got += one.heard(2 - len(got))
    assert [packet.retain for packet in got] == [False, True]
    # Retain handling: always, if it is new, never.
    for handling, expected in ((0, [1, 1]), (1, [1, 0]), (2, [0, 0])):
        client, counts = Client(f"{root}h{handling}"), []
        for _ in range(2):
            got = []
            client.subscribe((f"{root}/+", 2 | handling << 4), got=got)
            counts.append(len(got + client.heard()))
        assert counts == expected, (handling, counts)


@scenario(*FIVE)
def assigned_client_id(v5, root):
    assert Client("").props.AssignedClientIdentifier


@scenario(*FIVE)
def subscription_identifiers(v5, root):
    one, two = Client(root + "1"), Client(root + "2")
    one.subscribe((root, 2), SubscriptionIdentifier=456789)
    two.subscribe((root, 2), SubscriptionIdentifier=2)
    two.subscribe((f"{root}/#", 2), SubscriptionIdentifier=3)
    got = []
    two.publish(root, "x", got=got)
    got += two.heard(1 - len(got))
    assert [p.props.SubscriptionIdentifier for p in one.heard(1)] == [[456789]]
    ids = sorted(id for packet in got for id in packet.props.SubscriptionIdentifier)
    assert ids == [2, 3], ids


@scenario(*FIVE)
def request_response(v5, root):
    asker, server = Client(root + "1"), Client(root + "2")
    for client in (asker, server):
        client.subscribe((root, 2 | 4))
    asker.publish(root, "request", ResponseTopic=root, CorrelationData=b"334")
    (request,) = server.heard(1)
    assert (request.props.ResponseTopic, request.props.CorrelationData) == (root, b"334")
    server.publish(request.props.ResponseTopic, "response", CorrelationData=b"334")
    (response,) = asker.heard(1)
    assert (response.payload, response.props.CorrelationData) == (b"response", b"334")


@scenario(*FIVE)
def client_topic_alias(v5, root):
    client = Client(root)
    client.sock.sendall(b"\x30\x07\x00\x01t\x03\x23\x00\x00")
    assert client.reason_of_end() == 0x94, "alias 0"
    client = Client(root, SessionExpiryInterval=600)
    assert client.props.TopicAliasMaximum > 0
    client.subscribe((root, 2))
    got = []
    client.publish(root, "one", TopicAlias=1, got=got)
    client.publish("", "two", TopicAlias=1, got=got)
    assert bodies(got + client.heard(2 - len(got))) == [b"one", b"two"]
    client.leave()
    client = Client(root, clean=False, SessionExpiryInterval=600)
    client.publish(root, "three")
    client.send(0x30, text("") + client.packed(T.PUBLISH, {"TopicAlias": 1}) + b"four")
    assert client.reason_of_end() in (0x82, 0x94), "aliases end with their connection"


@scenario(*FIVE)
def server_topic_alias(v5, root):
    for most in (1, 0, None):
        client = Client(root, **({} if most is None else {"TopicAliasMaximum": most}))
        client.subscribe((root, 2))
        got = []
        for qos in range(3):
            client.publish(root, "x", qos, got=got)
        got += client.heard(3 - len(got))
        aliases = [getattr(packet.props, "TopicAlias", None) for packet in got]
        topics = [packet.topic for packet in got]
        if most:
            assert aliases == [1, 1, 1] and topics == [root, "", ""], (aliases, topics)
        else:
            assert aliases == [None] * 3 and topics == [root] * 3, (aliases, topics)
        client.leave()


@scenario(*FIVE)
def maximum_packet_size(v5, root):
    client = Client(root)
    # One byte more than is taken, of which only the header comes.
    client.sock.sendall(b"\x30" + bytes([0x81, 0x80, 0x80, 0x01]))
    assert client.props.MaximumPacketSize < 1 << 21 and client.reason_of_end() == 0x95
    client = Client(root, MaximumPacketSize=64)
    client.subscribe((root, 2))
    client.publish(root, "." * 64)
    client.publish(root, "." * 16)
    assert bodies(client.heard(1)) == [b"." * 16], "what is too large is left out"


@scenario(*FIVE)
def server_keep_alive(v5, root):
    assert Client(root, keepalive=120).props.ServerKeepAlive == 60


@scenario(*FIVE)
def flow_control_of_the_server(v5, root):
    client, other = Client(root, ReceiveMaximum=2), Client(root + "p")
    client.subscribe((root, 2))
    for n in range(3):
        other.publish(root, str(n))
    first, second = client.read(), client.read()
    client.send(0xC0, b"")
    assert client.read().kind == T.PINGRESP, "the third waits"
    client.send(0x40, struct.pack("!H", first.mid))
    assert (second.payload, client.read().payload) == (b"1", b"2")


@scenario(*FIVE)
def flow_control_of_the_client(v5, root):
    client = Client(root)
    for n in range(client.props.ReceiveMaximum + 1):
        client.send(0x34, text(root) + client.next_mid() + b"\0x")
    assert client.reason_of_end() == 0x93


@scenario(*FIVE)
def will_delay(v5, root):
    listener = Client(root + "l")
    listener.subscribe((root, 2))
    # The delay or the end of the session, whichever comes first.
    for delay, expiry, least in ((1, 600, 0.9), (600, 1, 0.9), (600, 0, 0)):
        props = {"will_props": {"WillDelayInterval": delay}, "SessionExpiryInterval": expiry}
        Client(root, will=(root, "will"), **props).vanish()
        since = time.monotonic()
        assert bodies(listener.heard(1)) == [b"will"] and time.monotonic() - since >= least


@scenario(*FIVE)
def shared_subscriptions(v5, root):
    one, two, other = Client(root + "1"), Client(root + "2"), Client(root + "p")
    for client in (one, two):
        client.subscribe((f"$share/name/{root}/x", 2), (f"{root}/all", 2))
    other.publish(f"{root}/all")
    assert len(one.heard(1)) == len(two.heard(1)) == 1
    other.publish(f"{root}/x")
    assert len(one.heard() + two.heard()) == 1


for no, (function, v5) in enumerate(SCENARIOS):
    name = f"{function.__name__}, MQTT {'5' if v5 else '3.1.1'}"
    try:
        function(v5, f"interop/{no}")
    except Exception:
        print("failed:", name, flush=True)
        raise
    print("passed:", name)
print("MQTT 5:", sum(v5 for _, v5 in SCENARIOS), "3.1.1:", sum(not v5 for _, v5 in SCENARIOS))
print("all of it")
