//! What those who run the server ask of it over HTTP: whether it is there, whether it is ready,
//! what it counts; and that whoever asks badly disturbs nobody.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use regex::Regex;
use serde_json::Value;
use support::{PATIENCE, Server, SmallDisk, bluetick, err, out, read_to_end, run};

const FLAGS: &[&str] = &["--dev", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"];

fn start(data_dir: &Path) -> Server {
    Server::start_with(data_dir, FLAGS)
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends bytes and reads to the end of the connection.
fn exchange(at: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(at).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(request).expect("sent");
    let text = String::from_utf8(read_to_end(&mut stream)).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect(&text), head: head.to_lowercase(), body: body.to_owned() }
}

fn get(server: &Server, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    exchange(server.listener("http"), request.as_bytes())
}

/// What is served, by name and labels as they stand there.
struct Metrics {
    text: String,
    values: BTreeMap<String, f64>,
}

impl Metrics {
    fn of(server: &Server) -> Self {
        let answer = get(server, "/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
        let value = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect(line);
            (name.to_owned(), value.parse().expect(line))
        };
        let values = lines.map(value).collect();
        Self { text: answer.body, values }
    }

    fn get(&self, name: &str) -> f64 {
        *self.values.get(name).unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
    }

    /// Names with their types.
    fn families(&self) -> BTreeMap<&str, &str> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split_once(' ')).collect()
    }
}

fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_place_answers() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = get(&server, path);
        assert_eq!((answer.status, &*answer.body), (200, body));
    }
    let head = exchange(server.listener("http"), b"HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.head.contains("connection: close"), "{}", head.head);
}

#[test]
fn the_documented_metrics_are_those_that_are_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let metrics = Metrics::of(&server);
    let row = Regex::new(r"(?m)^\| `([a-z0-9_]+)(?:\{([a-z,]+)\})?` \| (\w+) \|").expect("valid");
    let document = repository("docs/operations.md");
    let documented: BTreeMap<_, _> = row
        .captures_iter(&document)
        .filter_map(|row| Some((row.get(1)?.as_str(), row.get(3)?.as_str())))
        .collect();
    assert_eq!(documented, metrics.families(), "docs/operations.md, \"Metrics\"");
    let label = Regex::new(r#"([a-z]+)=""#).expect("valid");
    // Labels are those of the document, and so never users or topics.
    for row in row.captures_iter(&document) {
        let labels = row.get(2).map_or("", |labels| labels.as_str());
        let name = format!("{}{{", &row[1]);
        let samples = metrics.values.keys().filter(|sample| sample.starts_with(&name));
        let served: BTreeSet<String> =
            samples.flat_map(|it| label.captures_iter(it).map(|it| it[1].to_owned())).collect();
        let labels: BTreeSet<String> =
            labels.split(',').filter(|label| !label.is_empty()).map(ToOwned::to_owned).collect();
        assert_eq!(labels, served, "{}", &row[1]);
    }
}

#[test]
fn the_dashboard_and_the_alerts_use_what_is_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let metrics = Metrics::of(&server);
    let name = Regex::new(r"\b(?:bluetick|process)_[a-z0-9_]+").expect("valid");
    let check = |expression: &str, from: &str| {
        let names: Vec<_> = name.find_iter(expression).map(|found| found.as_str()).collect();
        for name in &names {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it));
            let served = metrics.families();
            let of_histogram = family.is_some_and(|it| served.get(it) == Some(&"histogram"));
            assert!(served.contains_key(name) || of_histogram, "{from}: {name} is not served");
        }
        names.len()
    };
    let dashboard: Value = serde_json::from_str(&repository("deploy/grafana.json")).expect("JSON");
    let mut used = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            assert!(check(expression, "grafana.json") > 0, "{expression} uses nothing of ours");
            used += 1;
        }
    }
    assert!(used > 20, "only {used} expressions: is this the dashboard?");
    let alerts = repository("deploy/alerts.yaml");
    let expressions = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    assert!(expressions.map(|expression| check(expression, "alerts.yaml")).sum::<usize>() > 8);
}

#[test]
fn what_happens_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let before = Metrics::of(&server);
    assert_eq!(before.get("bluetick_messages_total"), 0.0);
    for n in 0..5 {
        // With both levels that wait for an acknowledgement.
        let qos = if n == 4 { "2" } else { "1" };
        let sent = server.publish("alice", "users/bob/send", &format!("no. {n}"), &["-q", qos]);
        assert!(sent.status.success(), "{}", err(&sent));
    }
    let read = server.publish("alice", "chats/alice~bob/read", "1", &[]);
    assert!(read.status.success(), "{}", err(&read));
    let plain = server.publish("alice", "weather", "rain", &[]);
    assert!(plain.status.success(), "{}", err(&plain));
    let mut command = server.mosquitto("mosquitto_sub", "bob", "b");
    command.args(["-c", "-q", "1", "-t", "chats/+/messages", "-C", "5", "-W", "25"]);
    let heard = run(&mut command);
    assert_eq!(out(&heard).lines().count(), 5, "{}", err(&heard));
    // Bob's acknowledgements are counted when the server has read them: after his DISCONNECT.
    let started = Instant::now();
    let after = loop {
        let metrics = Metrics::of(&server);
        if metrics.get("bluetick_connections") == 0.0 {
            break metrics;
        }
        assert!(started.elapsed() < PATIENCE, "the connections do not end:\n{}", metrics.text);
    };
    for (name, at_least, at_most) in [
        ("bluetick_messages_total", 5.0, 5.0),
        ("bluetick_chats", 1.0, 1.0),
        ("bluetick_chats_resident", 1.0, 1.0),
        ("bluetick_receipts_total", 1.0, 10.0),
        ("bluetick_packets_total{direction=\"in\",type=\"connect\"}", 8.0, 8.0),
        ("bluetick_packets_total{direction=\"out\",type=\"connack\"}", 8.0, 8.0),
        ("bluetick_packets_total{direction=\"in\",type=\"publish\"}", 7.0, 7.0),
        ("bluetick_packets_total{direction=\"out\",type=\"publish\"}", 5.0, 5.0),
        ("bluetick_packets_total{direction=\"out\",type=\"puback\"}", 6.0, 6.0),
        ("bluetick_packets_total{direction=\"out\",type=\"pubrec\"}", 1.0, 1.0),
        ("bluetick_packets_total{direction=\"in\",type=\"disconnect\"}", 8.0, 8.0),
        ("bluetick_bytes_total{direction=\"in\"}", 300.0, 3000.0),
        ("bluetick_bytes_total{direction=\"out\"}", 300.0, 3000.0),
        ("bluetick_sessions{state=\"online\"}", 0.0, 0.0),
        ("bluetick_sessions{state=\"offline\"}", 1.0, 1.0),
        ("bluetick_users_online", 0.0, 0.0),
        ("bluetick_publishes_inflight", 0.0, 0.0),
        ("bluetick_deliveries_inflight", 0.0, 0.0),
        ("bluetick_commands_waiting", 0.0, 10.0),
        ("bluetick_store_failing", 0.0, 0.0),
        // The messages, and nothing else that waits for an acknowledgement.
        ("bluetick_puback_seconds_count", 5.0, 5.0),
        ("bluetick_rocksdb_records{table=\"log\"}", 5.0, 5.0),
        ("bluetick_rocksdb_batch_bytes_total", 500.0, 50_000.0),
        ("bluetick_journal_bytes_total", 500.0, 50_000.0),
        ("bluetick_rocksdb_stall_microseconds_total", 0.0, 0.0),
        ("process_open_fds", 10.0, 1000.0),
    ] {
        let value = after.get(name);
        assert!((at_least..=at_most).contains(&value), "{name} {value}\n{}", after.text);
    }
    assert!(after.get("bluetick_commit_records_sum") >= 10.0);
    for (name, kind) in after.families() {
        if kind == "histogram" {
            check_histogram(&after, name);
        }
        if kind == "counter" {
            let of_family = |sample: &&String| sample.split('{').next() == Some(name);
            for sample in after.values.keys().filter(of_family) {
                assert!(after.get(sample) >= before.get(sample), "{sample} has fallen");
            }
        }
    }
}

/// Buckets rise, the last one has all, and the sum is one that these buckets allow.
fn check_histogram(metrics: &Metrics, name: &str) {
    let prefix = format!("{name}_bucket{{le=\"");
    let lines = metrics.text.lines().filter_map(|line| line.strip_prefix(&prefix));
    let buckets: Vec<(f64, f64)> = lines
        .map(|line| {
            let (bound, count) = line.split_once("\"} ").expect(line);
            (bound.parse().expect(line), count.parse().expect(line))
        })
        .collect();
    let (mut below, mut bound_before, mut least, mut most) = (0.0, 0.0, 0.0, 0.0);
    for (bound, count) in &buckets {
        assert!(*count >= below && *bound > bound_before, "{name}: {buckets:?}");
        if *count > below {
            least += (count - below) * bound_before;
            most += (count - below) * bound;
        }
        (below, bound_before) = (*count, *bound);
    }
    let (sum, count) = (metrics.get(&format!("{name}_sum")), metrics.get(&format!("{name}_count")));
    assert_eq!((bound_before, below), (f64::INFINITY, count), "{name}: {buckets:?}");
    assert!(count > 0.0 && (least..=most).contains(&sum), "{name}: {sum} of {buckets:?}");
}

#[test]
fn limits_that_are_reached_are_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = bluetick();
    command.args(["serve", "--log", "warn", "--data-dir"]).arg(dir.path()).args(FLAGS);
    command.env("BLUETICK_QUOTA__STRANGERS_PER_HOUR", "1");
    let server = Server::spawn(&mut command, 2);
    for to in ["bob", "carol", "dave"] {
        server.publish("alice", &format!("users/{to}/send"), "hi", &["-V", "mqttv5"]);
    }
    server.connect().write_all(b"no MQTT at all").expect("sent");
    let limits = [
        ("bluetick_limits_reached_total{limit=\"quota.strangers_per_hour\"}", 2.0),
        ("bluetick_limits_reached_total{limit=\"protocol_errors\"}", 1.0),
    ];
    let started = Instant::now();
    loop {
        let metrics = Metrics::of(&server);
        if limits.iter().all(|(name, count)| metrics.get(name) == *count) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{}", metrics.text);
    }
}

#[test]
fn a_store_without_room_is_not_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(dir.path(), "64m") else {
        println!("not run: a tmpfs cannot be mounted here");
        return;
    };
    let mut command = bluetick();
    command.args(["serve", "--log", "off", "--data-dir"]).arg(disk.path().join("data")).args(FLAGS);
    // Three of these and the journal are the reserve.
    command.env("BLUETICK_STORE__WRITE_BUFFER_BYTES", "4194304");
    command.env("BLUETICK_STORE__LOG_BYTES", "4194304");
    let server = Server::spawn(&mut command, 2);
    let ready = get(&server, "/readyz");
    assert_eq!(ready.status, 200, "{}", ready.body);
    let free = Metrics::of(&server).get("bluetick_disk_free_bytes");
    assert!((20e6..64e6).contains(&free), "{free}");

    let filler = disk.path().join("filler");
    let filled = fs::write(&filler, vec![7; 64 << 20]);
    assert_eq!(filled.map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
    // It is seen before anybody has tried to store something.
    let unready = get(&server, "/readyz");
    assert_eq!(unready.status, 503, "{}", unready.body);
    assert!(unready.body.contains("the store takes no writes: 0 MiB are free"), "{}", unready.body);
    assert_eq!(get(&server, "/healthz").status, 200);
    let mut command = server.mosquitto("mosquitto_pub", "alice", "a");
    command.args(["-q", "1", "-t", "users/bob/send", "-m", "hi"]);
    let mut limited = Command::new("timeout");
    limited.arg("2").arg(command.get_program()).args(command.get_args());
    assert!(!run(&mut limited).status.success());
    let failing = Metrics::of(&server);
    assert_eq!(failing.get("bluetick_store_failing"), 1.0);
    assert!(failing.get("bluetick_commit_failures_total") >= 1.0);
    assert!(failing.get("bluetick_disk_free_bytes") < failing.get("bluetick_disk_reserve_bytes"));
    let unready = healthcheck(&server);
    assert_eq!(unready.status.code(), Some(1));
    assert!(err(&unready).contains("not ready: the store takes no writes"), "{}", err(&unready));

    fs::remove_file(&filler).expect("room again");
    let started = Instant::now();
    while get(&server, "/readyz").status != 200 {
        assert!(started.elapsed() < PATIENCE, "it does not get ready again");
    }
    assert_eq!(healthcheck(&server).status.code(), Some(0));
}

fn healthcheck(server: &Server) -> std::process::Output {
    let address = server.listener("http").to_string();
    run(bluetick().arg("healthcheck").env("BLUETICK_LISTEN__HTTP", address))
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    // A client that does not read holds the end up: its last words do not reach it.
    let mut deaf = server.connect();
    deaf.write_all(b"\x10\x14\x00\x04MQTT\x04\x82\x00\x00\x00\x01m\x00\x05mally").expect("sent");
    deaf.write_all(b"\x82\x06\x00\x01\x00\x01x\x00").expect("sent");
    let mut suback = [0; 9];
    deaf.read_exact(&mut suback).expect("CONNACK and SUBACK");
    let file = dir.path().join("large");
    fs::write(&file, vec![b'x'; 900_000]).expect("written");
    for _ in 0..20 {
        let mut command = server.mosquitto("mosquitto_pub", "alice", "a");
        command.args(["-q", "1", "-t", "x", "-f"]).arg(&file);
        assert!(run(&mut command).status.success());
    }
    assert!(Metrics::of(&server).get("bluetick_plain_messages_queued") > 0.0);
    server.signal("-TERM");
    let started = Instant::now();
    loop {
        let answer = get(&server, "/readyz");
        if answer.status == 503 {
            assert_eq!(answer.body, "not ready: shutting down\n");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it stays ready");
    }
    assert_eq!(get(&server, "/healthz").status, 200);
    assert_eq!(server.terminate(), Some(0));
    drop(deaf);
}

#[test]
fn bad_requests_get_clear_answers() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let at = server.listener("http");
    let missing = get(&server, "/users");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("/readyz"), "{}", missing.body);
    let post = b"POST /readyz HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n";
    let wrong = exchange(at, post);
    assert_eq!(wrong.status, 405);
    assert!(wrong.head.contains("allow: get, head"), "{}", wrong.head);
    let huge = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8192));
    assert_eq!(exchange(at, huge.as_bytes()).status, 431);
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    assert_eq!(exchange(at, many.as_bytes()).status, 431);
    assert_eq!(exchange(at, b"\x10\x14\x00\x04MQTT\x04\r\n\r\n").status, 400);
    // A second request on the same connection is not answered.
    let twice = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(exchange(at, twice).body, "ok\n");
}

#[test]
fn who_is_slow_is_cut_off_and_holds_nobody_up_for_long() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = server.connect_to("http");
            stream.write_all(b"GET /heal").expect("sent");
            stream
        })
        .collect();
    // Chats notice nothing of it.
    assert!(server.publish("alice", "users/bob/send", "hi", &[]).status.success());
    assert_eq!(get(&server, "/healthz").status, 200);
    for mut stream in slow {
        assert_eq!(read_to_end(&mut stream), b"");
    }
}

#[test]
fn a_healthcheck_needs_an_address() {
    let output = run(bluetick().arg("healthcheck"));
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("--http"), "{}", err(&output));
    let output = run(bluetick().args(["healthcheck", "--http", "127.0.0.1:1"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("no answer from 127.0.0.1:1"), "{}", err(&output));
}

#[test]
fn systemd_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let told = || {
        let mut text = [0; 256];
        let length = socket.recv(&mut text).expect("a word");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = bluetick();
    command.args(["serve", "--log", "warn", "--data-dir"]).arg(dir.path().join("data")).args(FLAGS);
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::spawn(&mut command, 2);
    assert_eq!(told().trim(), "READY=1");
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(told().trim(), "STOPPING=1");
}
