//! Packets of clients, by hand, and those of the server as they come.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) const V4: u8 = 4;
pub(crate) const V5: u8 = 5;

/// The flag of a clean start.
pub(crate) const CLEAN: u8 = 0x02;

pub(crate) fn publish(version: u8, first: u8, id: u16, topic: &str, properties: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if first & 6 != 0 {
        body.extend(id.to_be_bytes());
    }
    if version == V5 {
        body.push(u8::try_from(properties.len()).expect("short"));
        body.extend(properties);
    }
    body.push(b'x');
    packet(first, &body)
}

pub(crate) fn subscribe(version: u8, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = vec![0, 9];
    if version == V5 {
        body.push(0);
    }
    for (filter, options) in filters {
        text(&mut body, filter);
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("short");
    assert!(length < 0x80, "one byte of length");
    [&[first, length], body].concat()
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend(text.as_bytes());
}

/// The next packet: its first byte and its body.
pub(crate) async fn next(client: &mut DuplexStream) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    client.read_exact(&mut header).await.expect("a packet");
    assert!(header[1] < 0x80, "one byte of length");
    let mut body = vec![0; usize::from(header[1])];
    client.read_exact(&mut body).await.expect("all of it");
    (header[0], body)
}

pub(crate) async fn send(client: &mut DuplexStream, bytes: &[u8]) {
    client.write_all(bytes).await.expect("taken");
}

/// All that is left until the server closes the connection.
pub(crate) async fn closed_after(client: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("closed in order");
    rest
}
