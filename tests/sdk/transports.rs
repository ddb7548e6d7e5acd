//! TLS and WebSocket, and who is trusted.

use bluetick_client::{Client, Connection, ErrorKind, Seq};

use crate::peer::{Peer, soon};
use crate::support::Server;
use crate::world::Authority;

#[tokio::test]
async fn all_of_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", &["localhost"]);
    let ports = ["--mqtt", "--mqtts", "--ws", "--wss"].map(|kind| [kind, "127.0.0.1:0"]).concat();
    let flags = [&["--dev"][..], &ports, &pair.flags()].concat();
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let trusted = std::fs::read(&authority.file).expect("a certificate");
    for (at, (kind, path)) in
        (1..).zip([("mqtt", ""), ("mqtts", ""), ("ws", "/mqtt"), ("wss", "/mqtt")])
    {
        let url = format!("{kind}://localhost:{}{path}", server.listener(kind).port());
        let builder = Client::builder(url).user("alice").device(kind).authorities(trusted.clone());
        let alice = Peer::build(builder).await;
        let pending = alice.with("bob").send(kind).await.expect("queued");
        assert_eq!(soon(kind, pending).await.expect("sent").seq, Seq(at));
    }
    // Another authority has not signed for this server.
    let other = Authority::new(dir.path(), "other");
    let url = format!("mqtts://localhost:{}", server.listener("mqtts").port());
    let other = std::fs::read(&other.file).expect("a certificate");
    let builder = Client::builder(url).user("alice").device("x").authorities(other);
    let mut alice = Peer::build(builder).await;
    alice.state(|state| matches!(state, Connection::Offline { .. })).await;
    assert!(alice.client.last_loss().expect("a reason").contains("certificate"));
    let none = Client::builder("mqtts://localhost").user("alice").device("x").authorities("none");
    assert_eq!(none.connect().await.expect_err("no certificate").kind(), ErrorKind::Invalid);
}
