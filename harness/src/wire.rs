//! As much of MQTT 3.1.1 and 5 as a chat client needs, from the client's side.

/// The name of the reason string among the properties of a [`Packet::Ack`].
pub const REASON_STRING: &str = "reason string";

/// A packet from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The answer to CONNECT.
    ConnAck {
        /// The server has the session.
        session_present: bool,
        /// 0 is success.
        code: u8,
    },
    /// A message.
    Publish {
        /// Quality of service.
        qos: u8,
        /// 0 at QoS 0.
        id: u16,
        /// Topic.
        topic: String,
        /// Body.
        payload: Vec<u8>,
    },
    /// PUBACK (4), PUBREC (5), PUBREL (6), PUBCOMP (7).
    Ack {
        /// The packet type.
        kind: u8,
        /// Of which packet.
        id: u16,
        /// MQTT 5's reason, else 0.
        reason: u8,
        /// MQTT 5's user properties, and its reason string under [`REASON_STRING`].
        properties: Vec<(String, String)>,
    },
    /// The answer to SUBSCRIBE.
    SubAck {
        /// Of which packet.
        id: u16,
        /// A code per filter.
        codes: Vec<u8>,
    },
    /// The server ends the connection (MQTT 5).
    Disconnect {
        /// Why.
        reason: u8,
    },
    /// Anything else.
    Other(u8),
}

/// What a CONNECT says.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// 4 or 5.
    pub version: u8,
    /// Start without a session from before.
    pub clean: bool,
    /// Seconds that the session outlives the connection (MQTT 5).
    pub expiry_s: u32,
    /// Client id.
    pub client_id: &'a str,
    /// User name.
    pub user: &'a str,
}

/// Appends a CONNECT.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', connect.version];
    body.push(0x80 | (u8::from(connect.clean) << 1));
    body.extend([0, 0]);
    if connect.version == 5 {
        body.push(5);
        body.push(17);
        body.extend(connect.expiry_s.to_be_bytes());
    }
    text(&mut body, connect.client_id);
    text(&mut body, connect.user);
    frame(out, 0x10, &body);
}

/// What a PUBLISH says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Publish<'a> {
    /// Quality of service.
    pub qos: u8,
    /// It may have been sent before.
    pub dup: bool,
    /// Packet id; left out at QoS 0.
    pub id: u16,
    /// Topic.
    pub topic: &'a str,
    /// A user property (MQTT 5).
    pub property: Option<(&'a str, &'a str)>,
    /// Message expiry interval, seconds (MQTT 5).
    pub expiry_s: Option<u32>,
    /// Body.
    pub payload: &'a [u8],
}

/// Appends a PUBLISH.
pub fn publish(out: &mut Vec<u8>, version: u8, publish: &Publish<'_>) {
    let mut body = Vec::new();
    text(&mut body, publish.topic);
    if publish.qos > 0 {
        body.extend(publish.id.to_be_bytes());
    }
    if version == 5 {
        let mut properties = Vec::new();
        if let Some(expiry_s) = publish.expiry_s {
            properties.push(2);
            properties.extend(expiry_s.to_be_bytes());
        }
        if let Some((name, value)) = publish.property {
            properties.push(38);
            text(&mut properties, name);
            text(&mut properties, value);
        }
        length(&mut body, properties.len());
        body.extend(properties);
    }
    body.extend(publish.payload);
    frame(out, 0x30 | (u8::from(publish.dup) << 3) | (publish.qos << 1), &body);
}

/// Appends a SUBSCRIBE for filters with their options byte.
pub fn subscribe(out: &mut Vec<u8>, version: u8, id: u16, filters: &[(String, u8)]) {
    let mut body = id.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    for (filter, options) in filters {
        text(&mut body, filter);
        body.push(*options);
    }
    frame(out, 0x82, &body);
}

/// Appends PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7).
pub fn ack(out: &mut Vec<u8>, kind: u8, id: u16) {
    let flags = if kind == 6 { 2 } else { 0 };
    frame(out, (kind << 4) | flags, &id.to_be_bytes());
}

/// Appends a DISCONNECT.
pub fn disconnect(out: &mut Vec<u8>) {
    frame(out, 0xE0, &[]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

fn frame(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    length(out, body.len());
    out.extend(body);
}

/// Appends a length in MQTT's variable byte form.
fn length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        if length == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Takes a packet off the front of `inbox`; `None`: more bytes are needed.
///
/// # Errors
/// The server has sent what is no MQTT.
pub fn decode(inbox: &mut Vec<u8>, version: u8) -> Result<Option<Packet>, String> {
    let Some((&first, rest)) = inbox.split_first() else { return Ok(None) };
    let Some((length, used)) = number(rest)? else { return Ok(None) };
    let start = 1 + used;
    let Some(body) = inbox.get(start..start + length) else { return Ok(None) };
    let packet = parse(first, body, version).ok_or_else(|| {
        format!("a packet of type {} that cannot be read: {body:02x?}", first >> 4)
    })?;
    inbox.drain(..start + length);
    Ok(Some(packet))
}

fn number(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err("a length of more than four bytes".to_owned()) } else { Ok(None) }
}

fn parse(first: u8, body: &[u8], version: u8) -> Option<Packet> {
    let mut reader = Reader(body);
    Some(match first >> 4 {
        2 => Packet::ConnAck { session_present: reader.byte()? & 1 == 1, code: reader.byte()? },
        3 => {
            let qos = (first >> 1) & 3;
            let topic = reader.text()?;
            let id = if qos > 0 { reader.short()? } else { 0 };
            if version == 5 {
                reader.properties()?;
            }
            Packet::Publish { qos, id, topic, payload: reader.0.to_vec() }
        }
        kind @ 4..=7 => {
            let id = reader.short()?;
            let reason = reader.byte().unwrap_or(0);
            let properties = if reader.0.is_empty() { Vec::new() } else { reader.properties()? };
            Packet::Ack { kind, id, reason, properties }
        }
        9 => {
            let id = reader.short()?;
            if version == 5 {
                reader.properties()?;
            }
            Packet::SubAck { id, codes: reader.0.to_vec() }
        }
        14 => Packet::Disconnect { reason: reader.byte().unwrap_or(0) },
        other => Packet::Other(other),
    })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.short()?);
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// The user properties and the reason string; others that a server sends here are passed over by their size.
    fn properties(&mut self) -> Option<Vec<(String, String)>> {
        let (length, used) = number(self.0).ok()??;
        self.take(used)?;
        let mut inner = Reader(self.take(length)?);
        let mut found = Vec::new();
        while let Some(kind) = inner.byte() {
            match kind {
                38 => found.push((inner.text()?, inner.text()?)),
                31 => found.push((REASON_STRING.to_owned(), inner.text()?)),
                3 | 8 => {
                    inner.text()?;
                }
                2 => {
                    inner.take(4)?;
                }
                1 => {
                    inner.byte()?;
                }
                _ => return None,
            }
        }
        Some(found)
    }
}
