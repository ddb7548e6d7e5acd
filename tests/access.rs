//! Access rules of plain topics: from the configuration, told to both versions, read anew at SIGHUP.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use support::{PATIENCE, Server, err, out, run};

fn write_rules(dir: &Path, rules: &[&str]) -> String {
    let config = dir.join("bluetick.toml");
    fs::write(&config, format!("[access]\nrules = {rules:?}\n")).expect("written");
    config.to_str().expect("a path in UTF-8").to_owned()
}

fn publish5(server: &Server, user: &str, topic: &str) -> String {
    err(&server.publish(user, topic, "x", &["-V", "5"]))
}

#[test]
fn rules_decide_and_are_read_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let rules = ["allow publish sensor data/{user}/#", "allow subscribe * data/#"];
    let config = write_rules(dir.path(), &rules);
    let data_dir = dir.path().join("data");
    let server =
        Server::start_with(&data_dir, &["--dev", "--mqtt", "127.0.0.1:0", "--config", &config]);
    let mut reader = server.mosquitto("mosquitto_sub", "bob", "reader");
    reader.args(["-V", "5", "-q", "1", "-t", "data/#", "-W", "55", "-v"]);
    reader.stdout(std::process::Stdio::piped());
    let mut reader = reader.spawn().expect("it runs");

    // 0x10 is "no matching subscribers", and no error.
    let publish_until = |topic: &str, body: &str, code: &str| {
        let started = Instant::now();
        let mut publish = server.mosquitto("mosquitto_pub", "sensor", "warm");
        publish.args(["-V", "5", "-q", "1", "-t", topic, "-m", body, "-d"]);
        while !out(&run(&mut publish)).contains(&format!("RC:{code})")) {
            assert!(started.elapsed() < PATIENCE, "{topic} {body}: never answered by {code}");
        }
    };
    publish_until("data/sensor/1", "21", "0");
    assert!(publish5(&server, "sensor", "data/other/1").contains("Not authorized"));
    assert!(publish5(&server, "bob", "data/bob/1").contains("Not authorized"));
    assert!(publish5(&server, "bob", "pub/x").contains("Not authorized"), "not by default");
    for (filter, denied) in [("#", true), ("data/+/1", false), ("other", true)] {
        let mut sub = server.mosquitto("mosquitto_sub", "bob", "asks");
        let output = run(sub.args(["-t", filter, "-E", "-d"]));
        assert_eq!(
            out(&output).contains("Subscribed (mid: 1): 128"),
            denied,
            "{filter}: {output:?}"
        );
    }
    // 3.1.1 has no word for it: acknowledged, and nobody gets it.
    assert!(server.publish("bob", "data/bob/1", "in vain", &[]).status.success());
    // The chats are no matter of the rules.
    assert!(server.publish("bob", "users/alice/send", "hi", &[]).status.success());

    // Mistakes change nothing; other rules do, and no connection is lost.
    write_rules(dir.path(), &["allow everything"]);
    server.hang_up();
    assert!(publish5(&server, "bob", "data/bob/1").contains("Not authorized"));
    write_rules(dir.path(), &["allow all * #"]);
    server.hang_up();
    let started = Instant::now();
    while publish5(&server, "bob", "data/bob/1").contains("Not authorized") {
        assert!(started.elapsed() < PATIENCE, "the rules are not read");
    }
    // They are also for a subscription that stands.
    write_rules(dir.path(), &["allow publish * #"]);
    server.hang_up();
    publish_until("data/sensor/2", "before", "16");
    publish_until("data/sensor/2", "silenced", "16");
    write_rules(dir.path(), &["allow all * #"]);
    server.hang_up();
    publish_until("data/sensor/2", "again", "0");
    let lines = BufReader::new(reader.stdout.take().expect("piped")).lines();
    let mut heard: Vec<String> =
        lines.map_while(Result::ok).take_while(|line| !line.ends_with("again")).collect();
    heard.retain(|line| line != "data/sensor/2 before");
    assert_eq!(heard, ["data/sensor/1 21", "data/bob/1 x"]);
    reader.kill().expect("it still listens");
    reader.wait().expect("it ends");
}
