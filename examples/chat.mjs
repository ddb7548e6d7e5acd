// A chat with ticks, on MQTT.js 5. What you type goes to PEER. Usage: node chat.mjs HOST PORT USER PEER
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// `npm install mqtt`, here or wherever NODE_HOME says.
const { connect } = createRequire((process.env.NODE_HOME ?? process.cwd()) + "/")("mqtt");
const [host, port, user, peer] = process.argv.slice(2);
const client = connect(`mqtt://${host}:${port}`, {
  protocolVersion: 5,
  username: user,
  clientId: `${user}-js`,
  clean: false,
  // What comes while it does not run waits for it.
  properties: { sessionExpiryInterval: 30 * 24 * 3600 },
});

client.on("connect", () => {
  console.log("online");
  // Not what this device sends itself.
  client.subscribe(["chats/+/messages", "chats/+/receipts"], { qos: 1, nl: true });
});
client.on("reconnect", () => console.log("offline; it is tried again"));
client.on("error", (error) => console.log(`refused: ${error.message}`));

client.on("message", (topic, payload) => {
  const said = JSON.parse(payload);
  if (topic.endsWith("/receipts")) {
    if (said.user === peer) console.log(`✓✓ ${peer} has got ${said.delivered} and read ${said.read}`);
  } else if (said.from !== user) {
    console.log(`${said.from}: ${said.body ?? "…"}`);
    client.publish(`chats/${said.chat}/read`, String(said.seq), { qos: 1 });
  }
});

client.on("packetreceive", ({ cmd, properties }) => {
  const seq = cmd === "puback" ? properties?.userProperties?.seq : undefined;
  // A PUBACK is a tick: it is on the server's disk, with this place.
  if (seq) console.log(`✓ ${seq}`);
});

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  // The id makes it one message, however often it is sent.
  client.publish(`users/${peer}/send/${randomUUID()}`, line, { qos: 1 }, (error) => {
    if (error) console.log(`refused: ${error.message}`);
  });
});
lines.on("close", () => client.end());
