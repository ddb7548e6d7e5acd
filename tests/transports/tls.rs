//! TLS: other people's clients, names, client certificates, new certificates, what is no TLS.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};

use crate::support::{Server, bluetick, err, out, read_to_end, run};
use crate::world::{
    Authority, CONNECT, PINGREQ, PINGRESP, Pair, TlsClient, ask, log_in, start_logged, text, until,
};

const LOCAL: &[&str] = &["localhost", "127.0.0.1"];

/// A mosquitto client that speaks TLS with a server.
fn mosquitto(server: &Server, program: &str, authority: &Authority, more: &[&str]) -> Command {
    let port = server.listener("mqtts").port().to_string();
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &port, "--cafile", text(&authority.file)]).args(more);
    command
}

#[test]
fn mosquittos_clients_converse() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", LOCAL);
    let flags = [&["--dev", "--mqtts", "127.0.0.1:0"], &pair.flags()[..]].concat();
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let send = ["-u", "alice", "-i", "a", "-q", "1", "-t", "users/bob/send", "-m", "hi bob"];
    let output = run(&mut mosquitto(&server, "mosquitto_pub", &authority, &send));
    assert!(output.status.success(), "{}", err(&output));
    let receive = ["-u", "bob", "-i", "b", "-q", "1", "-t", "chats/+/messages", "-C", "1"];
    let output = run(&mut mosquitto(&server, "mosquitto_sub", &authority, &receive));
    assert!(out(&output).contains("hi bob"), "{}", err(&output));

    let other = Authority::new(dir.path(), "other");
    let output = run(&mut mosquitto(&server, "mosquitto_pub", &other, &send));
    assert!(!output.status.success(), "a server that another authority has signed for");
    assert_eq!(server.terminate(), Some(0));
}

/// MQTT 5: [MQTT-4.2.0-1].
/// MQTT 3.1.1: [MQTT-7.1.1-1].
#[test]
fn both_versions_are_spoken() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", LOCAL);
    let flags = [&["--dev", "--mqtts", "127.0.0.1:0"], &pair.flags()[..]].concat();
    let server = Server::start_with(&dir.path().join("data"), &flags);
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::new(&authority, &[version]);
        let mut stream = client.connect(server.connect_to("mqtts"), "localhost").expect("TLS");
        log_in(&mut stream);
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
    }
}

#[test]
fn a_client_certificate_is_a_login() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let server = authority.issue("server", "server", LOCAL);
    let [alice, carol] = ["alice", "carol"].map(|name| authority.issue(name, name, &[]));
    let forged = Authority::new(dir.path(), "forger").issue("forged", "alice", &[]);
    let data = dir.path().join("data");
    for user in ["alice", "bob"] {
        let mut command = bluetick();
        command.args(["user", "add", user, "--data-dir", text(&data)]).stdin(Stdio::piped());
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("piped").write_all(b"secret").expect("written");
        assert!(child.wait().expect("ended").success());
    }
    let flags = ["--mqtts", "127.0.0.1:0", "--client-ca", text(&authority.file)];
    let flags = [&flags[..], &server.flags()].concat();
    let server = Server::start_with(&data, &flags);
    let publish = |server: &Server, own: Option<&Pair>, more: &[&str]| {
        let mut command = mosquitto(server, "mosquitto_pub", &authority, more);
        command.args(["-i", "d", "-q", "1", "-t", "users/bob/send", "-m", "hi"]);
        if let Some(own) = own {
            command.args(own.flags());
        }
        run(&mut command).status.success()
    };
    assert!(publish(&server, Some(&alice), &[]), "the name is in the certificate");
    assert!(publish(&server, Some(&alice), &["-u", "alice"]), "and may be said as well");
    assert!(!publish(&server, Some(&alice), &["-u", "bob", "-P", "secret"]), "another's name");
    assert!(!publish(&server, Some(&carol), &[]), "who has no account");
    assert!(!publish(&server, Some(&forged), &[]), "of another authority");
    assert!(!publish(&server, None, &[]), "nobody");
    assert!(publish(&server, None, &["-u", "bob", "-P", "secret"]), "by password");

    drop(server);
    let required = [("BLUETICK_TLS__CLIENT_CERTS", "required")];
    let (server, _) = start_logged(dir.path(), &flags, &required);
    assert!(publish(&server, Some(&alice), &[]));
    assert!(!publish(&server, None, &["-u", "bob", "-P", "secret"]), "no certificate");
}

/// The certificate that a server shows to who asks for a name.
fn shown(server: &Server, client: &TlsClient, name: &str) -> CertificateDer<'static> {
    let mut stream = client.connect(server.connect_to("mqtts"), name).expect("a handshake");
    log_in(&mut stream);
    stream.conn.peer_certificates().expect("shown")[0].clone().into_owned()
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let first = authority.issue("first", "first", &["a.example", "127.0.0.1"]);
    let second = authority.issue("second", "second", &["b.example", "*.c.example"]);
    let flags = ["--dev", "--mqtts", "127.0.0.1:0"];
    let flags = [&flags[..], &first.flags(), &second.flags()].concat();
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let client = TlsClient::trusting(&authority);
    for (name, pair) in [
        ("a.example", &first),
        ("b.example", &second),
        ("x.c.example", &second),
        // No name is asked for with an address.
        ("127.0.0.1", &first),
    ] {
        assert_eq!(shown(&server, &client, name), pair.der(), "{name}");
    }
    // Of a name that nobody has, the first one is shown; the client does not take it.
    let stream = client.connect(server.connect_to("mqtts"), "d.example");
    let error = stream.expect_err("another's certificate").to_string();
    assert!(error.contains("a.example"), "{error}");
}

#[test]
fn new_certificates_count_for_new_connections_and_bad_ones_for_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", LOCAL);
    let first = pair.der();
    let flags = [&["--dev", "--mqtts", "127.0.0.1:0"], &pair.flags()[..]].concat();
    let (server, log) = start_logged(dir.path(), &flags, &[]);
    let client = TlsClient::trusting(&authority);
    let mut living = client.connect(server.connect_to("mqtts"), "localhost").expect("TLS");
    log_in(&mut living);
    let shown = || {
        let connected = client.connect(server.connect_to("mqtts"), "localhost");
        connected.expect("TLS").conn.peer_certificates().expect("shown")[0].clone().into_owned()
    };
    assert_eq!(shown(), first);

    authority.issue("server", "server", LOCAL);
    let second = pair.der();
    assert_ne!(first, second);
    until("the new certificate", || shown() == second);

    // A key that is not the certificate's; SIGHUP does not wait until somebody looks.
    let key = fs::read(&pair.key).expect("a key");
    fs::copy(authority.issue("other", "other", LOCAL).key, &pair.key).expect("copied");
    server.signal("-HUP");
    log.wait_for(&["the certificates stay as they were", "server.key"]);
    assert_eq!(shown(), second);
    fs::write(&pair.cert, "no certificate").expect("written");
    fs::write(&pair.key, key).expect("written");
    log.wait_for(&["the certificates stay as they were", "server.pem"]);
    assert_eq!(shown(), second);

    ask(&mut living, PINGREQ, PINGRESP);
}

#[test]
fn a_server_does_not_start_with_files_that_cannot_be_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let (pair, other) = (authority.issue("a", "a", LOCAL), authority.issue("b", "b", LOCAL));
    let missing = dir.path().join("missing.pem");
    for (cert, key, named) in [
        (&missing, &pair.key, "missing.pem"),
        (&pair.cert, &other.key, "b.key"),
        (&pair.key, &pair.key, "a.key: there is no certificate in it"),
    ] {
        let data = dir.path().join("data");
        let mut command = bluetick();
        command.args(["serve", "--dev", "--mqtts", "127.0.0.1:0", "--data-dir", text(&data)]);
        let output = run(command.args(["--cert", text(cert), "--key", text(key)]));
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        assert!(err(&output).contains(named), "{named} in {}", err(&output));
        assert!(!data.exists(), "the data directory was made");
    }
}

#[test]
fn plain_mqtt_and_tls_do_not_take_each_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", LOCAL);
    let flags = ["--dev", "--mqtt", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"];
    let flags = [&flags[..], &pair.flags()].concat();
    let (mut server, log) = start_logged(dir.path(), &flags, &[]);
    let mut plain = server.connect_to("mqtts");
    plain.write_all(CONNECT).expect("sent");
    // A TLS alert: fatal, whatever it says.
    assert_eq!(read_to_end(&mut plain).first(), Some(&0x15));
    log.wait_for(&["the handshake failed"]);

    let client = TlsClient::trusting(&authority);
    assert!(client.connect(server.connect_to("mqtt"), "localhost").is_err());
    let mut good = client.connect(server.connect_to("mqtts"), "localhost").expect("TLS");
    log_in(&mut good);
    // A record that is not what its key makes of it ends the connection, and is counted.
    good.sock.write_all(b"\x17\x03\x03\x00\x20garbage of thirty-two bytes.....").expect("sent");
    assert_eq!(good.read(&mut [0; 64]).unwrap_or(0), 0, "closed");
    assert!(server.is_alive());
}
