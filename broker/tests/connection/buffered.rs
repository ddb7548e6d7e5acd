//! A stream that keeps what it is given until it is flushed, as TLS and WebSocket may.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use crate::host::Anybody;

#[tokio::test(start_paused = true)]
async fn what_a_stream_buffers_is_pushed_on_until_it_is_gone() {
    const PINGS: usize = 1000;
    let broker = Anybody::broker();
    // Less than an answer fits into the pipe at once, all of them into the buffer before it.
    let (mut client, server) = tokio::io::duplex(1);
    let server = BufWriter::with_capacity(2 * PINGS + 4, server);
    broker.serve_stream(server, SocketAddr::from(([127, 0, 0, 1], 1)));
    let answers = async {
        client.write_all(b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.expect("taken");
        let mut connack = [0; 4];
        client.read_exact(&mut connack).await.expect("let in");
        client.write_all(&b"\xC0\x00".repeat(PINGS)).await.expect("taken");
        let mut answers = vec![0; 2 * PINGS];
        client.read_exact(&mut answers).await.expect("all answers");
        answers
    };
    let answers = timeout(Duration::from_secs(60), answers).await.expect("nothing is kept back");
    assert_eq!(answers, b"\xD0\x00".repeat(PINGS));
}
