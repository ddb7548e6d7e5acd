// Two people, three ticks and plain topics with MQTT.js. Usage: URL VERSION (4: 3.1.1, 5)
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";

const [url, version] = [process.argv[2], Number(process.argv[3])];
// Installed outside of the tree: node looks for it from BLUETICK_TEST_NODE on.
const { connect } = createRequire(process.env.BLUETICK_TEST_NODE + "/")("mqtt");

/** A client whose messages are awaited one after the other. */
async function client(user, options = {}) {
  const made = connect(url, {
    protocolVersion: version,
    username: user,
    clientId: `${user}-js`,
    reconnectPeriod: 0,
    ...options,
  });
  const inbox = [], waiting = [];
  made.on("message", (topic, payload, packet) => {
    const heard = { topic, body: payload.toString(), packet };
    const next = waiting.shift();
    next ? next(heard) : inbox.push(heard);
  });
  made.next = () => inbox.length
    ? Promise.resolve(inbox.shift())
    : new Promise((resolve) => waiting.push(resolve));
  // Not before it listens: what waited for a session may come with the CONNACK.
  await once(made, "connect");
  return made;
}

/** Its next message on a topic. */
async function heard(who, topic) {
  const got = await who.next();
  assert.equal(got.topic, topic);
  return got;
}

async function conversation() {
  const [alice, bob] = [await client("alice"), await client("bob")];
  await alice.subscribeAsync(["chats/+/receipts", "me/acks"], { qos: 1 });
  await bob.subscribeAsync("chats/+/messages", { qos: 1 });
  const [chat, id] = ["chats/alice~bob", randomUUID()];
  await alice.publishAsync(`users/bob/send/${id}`, "hi bob", { qos: 1 });
  const ack = JSON.parse((await heard(alice, "me/acks")).body);
  assert.deepEqual([ack.id, ack.duplicate], [id, false]);
  const message = JSON.parse((await heard(bob, `${chat}/messages`)).body);
  assert.deepEqual([message.seq, message.from, message.body], [ack.seq, "alice", "hi bob"]);
  const told = async () => JSON.parse((await heard(alice, `${chat}/receipts`)).body);
  assert.equal((await told()).delivered, ack.seq);
  await bob.publishAsync(`${chat}/read`, String(message.seq), { qos: 1 });
  assert.equal((await told()).read, ack.seq);
  if (version === 5) {
    const refused = await bob.publishAsync("chats/nobody~x/send", "hi", { qos: 1 }).catch((e) => e);
    assert.equal(refused.code, 0x87);
  }
  await Promise.all([alice.endAsync(), bob.endAsync()]);
}

async function plainTopics() {
  const root = `js/${version}`;
  const options = version === 5
    ? { clean: false, properties: { sessionExpiryInterval: 60 } }
    : { clean: false };
  let away = await client("away", options);
  await away.subscribeAsync(`${root}/kept`, { qos: 2 });
  await away.endAsync();
  const alice = await client("alice", {
    will: { topic: `${root}/will`, payload: "lost", qos: 1, retain: true },
  });
  await alice.publishAsync(`${root}/state`, "on", { qos: 1, retain: true });
  await alice.publishAsync(`${root}/kept`, "one", { qos: 1 });
  await alice.publishAsync(`${root}/kept`, "two", { qos: 2 });
  const bob = await client("bob");
  await bob.subscribeAsync(`${root}/state`, { qos: 1 });
  const state = await heard(bob, `${root}/state`);
  assert.deepEqual([state.body, state.packet.retain], ["on", true]);
  await bob.subscribeAsync(`${root}/will`, { qos: 1 });
  alice.stream.destroy();
  assert.equal((await heard(bob, `${root}/will`)).body, "lost");
  away = await client("away", options);
  const waited = [await heard(away, `${root}/kept`), await heard(away, `${root}/kept`)];
  assert.deepEqual(waited.map(({ body, packet }) => [body, packet.qos]), [["one", 1], ["two", 2]]);
  await away.subscribeAsync(`$share/g/${root}/jobs`, { qos: 1 });
  await bob.publishAsync(`${root}/jobs`, "work", { qos: 1 });
  assert.equal((await heard(away, `${root}/jobs`)).body, "work");
  await bob.publishAsync(`${root}/state`, "", { qos: 1, retain: true });
  await Promise.all([away.endAsync(), bob.endAsync()]);
}

await conversation();
await plainTopics();
console.log("all of it");
