//! The command line of the real binary: exit codes, messages, accounts, one process a directory.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

/// The program, in an environment that sets nothing of its configuration.
fn bluetick(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bluetick"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BLUETICK_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    bluetick(arguments).output().expect("started")
}

fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
    start_with_input(arguments, input).wait_with_output().expect("ended")
}

fn start_with_input(arguments: &[&str], input: &[u8]) -> Child {
    let mut command = bluetick(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    // Closed at the end of the statement: that is the end of the input.
    let written = child.stdin.take().expect("piped").write_all(input);
    // A command that refuses before it reads may have closed its end.
    if let Err(error) = written {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    child
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A server on a port of its own; killed at the end if it still runs.
struct Server {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut command = bluetick(&["serve", "--mqtt", "127.0.0.1:0", "--data-dir"]);
        command.arg(data_dir).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut out = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = out.next().expect("a line before the end").expect("UTF-8");
        let address = line.strip_prefix("listening mqtt ").expect("where it listens");
        let address = address.parse().expect("an address");
        Self { child, out, address }
    }

    /// The return code of the CONNACK that a client of MQTT 3.1.1 gets.
    fn connect(&self, user: &str, password: &str) -> u8 {
        // OASIS MQTT 3.1.1, 3.1: user name, password, clean session; keep-alive of a minute.
        let mut body = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
        for field in ["device", user, password] {
            body.extend(u16::try_from(field.len()).expect("short").to_be_bytes());
            body.extend(field.as_bytes());
        }
        let mut packet = vec![0x10, u8::try_from(body.len()).expect("short")];
        packet.extend(body);
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.write_all(&packet).expect("sent");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("a CONNACK");
        assert_eq!(answer[..2], [0x20, 2], "a CONNACK");
        answer[3]
    }

    fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
        self.child.wait().expect("ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_version_names_the_commit() {
    let output = run(&["--version"]);
    assert_done(&output);
    let commit = stdout(&output).trim_end().strip_prefix("bluetick 0.1.0 (");
    let commit = commit.and_then(|rest| rest.strip_suffix(')')).expect("a commit in brackets");
    let is_hash = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let in_clone = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    assert!(is_hash || (!in_clone && commit == "unknown"), "{commit}");
}

#[test]
fn the_help_tells_commands_and_exit_codes() {
    let help = run(&["--help"]);
    assert_done(&help);
    for word in [
        "serve",
        "config",
        "user",
        "inspect",
        "compact",
        "chat",
        "send",
        "listen",
        "history",
        "completions",
        "Exit codes",
        "3 the data",
    ] {
        assert!(stdout(&help).contains(word), "{word} in {}", stdout(&help));
    }
    assert_eq!(run(&["serve", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn completions_are_a_script() {
    let script = run(&["completions", "bash"]);
    assert_done(&script);
    assert!(stdout(&script).contains("inspect"));
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
    bash.stdin.take().expect("piped").write_all(&script.stdout).expect("written");
    assert!(bash.wait().expect("ended").success(), "bash cannot read it");
}

#[test]
fn mistakes_in_the_configuration_are_told_at_once_and_nothing_is_opened() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, data) = (dir.path().join("bluetick.toml"), dir.path().join("data"));
    fs::write(&file, "[limits]\nconections_max = 5\npacket_bytes_max = 1\n").expect("written");
    let arguments =
        ["serve", "--config", text(&file), "--data-dir", text(&data), "--mqtt", "nowhere"];
    let output = bluetick(&arguments).env("BLUETICK_SHUTDOWN__GRACE_S", "long").output();
    let output = output.expect("started");
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for part in [
        "4 mistakes in the configuration",
        "did you mean limits.connections_max?",
        "limits.packet_bytes_max = 1 (",
        "must be a number, 1024 to ",
        "listen.mqtt = nowhere (--mqtt): must be an address and a port",
        "shutdown.grace_s = long (BLUETICK_SHUTDOWN__GRACE_S): must be a number",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(!data.exists(), "the data directory was made");
    assert!(output.stdout.is_empty(), "something listens");
}

#[test]
fn dev_is_refused_where_others_could_reach_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let arguments = ["serve", "--dev", "--mqtt", "0.0.0.0:0", "--data-dir", text(&data)];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("only loopback addresses"), "{}", stderr(&output));
    assert!(!data.exists());
}

#[test]
fn what_config_prints_is_a_configuration() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("bluetick.toml");
    let first = run(&["config", "--mqtt", "127.0.0.1:7", "--log", "debug"]);
    assert_done(&first);
    assert!(stdout(&first).contains("Default: [\"127.0.0.1:1883\"]. Set by --mqtt."));
    fs::write(&file, &first.stdout).expect("written");
    let second = run(&["config", "--config", text(&file)]);
    assert_done(&second);
    let values = |output: &Output| output_values(stdout(output));
    assert_eq!(values(&first), values(&second));
    assert!(values(&first).contains(&"mqtt = [\"127.0.0.1:7\"]".to_owned()));
}

fn output_values(toml: &str) -> Vec<String> {
    let values = toml.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    values.map(ToOwned::to_owned).collect()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["config"][..], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = bluetick(arguments).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = child.expect("started").wait_with_output().expect("ended");
        assert_done(&output);
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn users_are_added_listed_changed_and_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let user = |arguments: &[&str], input: &[u8]| {
        let arguments = [&["user", "--data-dir", text(&data)], arguments].concat();
        run_with_input(&arguments, input)
    };
    assert_done(&user(&["add", "bob"], b"secret\n"));
    assert_done(&user(&["add", "alice", "--password-stdin"], b"secret"));
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("accounts")), 0o600);
    assert_eq!(stdout(&user(&["list"], b"")), "alice\nbob\n");
    assert_eq!(stdout(&user(&["list", "--json"], b"")), "[\"alice\",\"bob\"]\n");
    let accounts = || fs::read_to_string(data.join("accounts")).expect("is there");
    assert!(accounts().lines().all(|line| line.contains(":$argon2id$")), "{}", accounts());
    assert!(!accounts().contains("secret"));

    let before = accounts();
    for (arguments, input, code, told) in [
        (&["add", "alice"][..], &b"other"[..], 1, "exists already"),
        (&["add", "Carol"], b"secret", 2, "Carol"),
        (&["add", "carol"], b"\n", 1, "1 to 1024 bytes"),
        (&["add", "carol"], &[b'a'; 1025], 1, "1 to 1024 bytes"),
        (&["passwd", "carol"], b"secret", 1, "no user carol"),
        (&["remove", "carol"], b"", 1, "no user carol"),
    ] {
        let output = user(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(accounts(), before, "a refused change changed something");

    assert_done(&user(&["passwd", "alice"], b"other"));
    assert_ne!(accounts(), before);
    assert_done(&user(&["remove", "alice"], b""));
    assert_eq!(stdout(&user(&["list"], b"")), "bob\n");
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (0..8).map(|n| format!("user{n}")).collect();
    let adds: Vec<Child> = names
        .iter()
        .map(|name| {
            let arguments = ["user", "add", name, "--data-dir", text(dir.path())];
            start_with_input(&arguments, b"secret")
        })
        .collect();
    for add in adds {
        assert_done(&add.wait_with_output().expect("ended"));
    }
    let list = run(&["user", "list", "--data-dir", text(dir.path())]);
    assert_eq!(stdout(&list).lines().collect::<Vec<_>>(), names);
}

#[test]
fn one_process_has_a_data_directory_and_a_signal_ends_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &["--dev"]);
    let pid = format!("process {}", server.child.id());
    for command in [&["serve", "--mqtt", "127.0.0.1:0"][..], &["inspect", "chats"], &["compact"]] {
        let output = run(&[command, &["--data-dir", text(dir.path())]].concat());
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("in use by"), "{}", stderr(&output));
        assert!(stderr(&output).contains(&pid), "{}", stderr(&output));
    }

    // The lines to paste carry the port that the server really has.
    let port = server.address.port();
    for program in ["mosquitto_sub", "mosquitto_pub"] {
        let line = server.out.by_ref().map_while(Result::ok).find(|line| line.contains(program));
        let line = line.expect("a line to paste");
        assert!(line.contains(&format!("-h 127.0.0.1 -p {port} -u ")), "{line}");
    }
    assert_eq!(server.connect("anybody", ""), 0);
    assert_eq!(server.connect("Not a name", ""), 4);

    assert_eq!(server.terminate().code(), Some(0));
    assert_done(&run(&["inspect", "chats", "--data-dir", text(dir.path())]));
    let compacted = run(&["compact", "--data-dir", text(dir.path())]);
    assert_done(&compacted);
    assert!(
        stdout(&compacted).lines().any(|line| line.starts_with("log ") && line.contains(" -> "))
    );
    let again = Server::start(dir.path(), &["--dev"]);
    assert_eq!(again.terminate().code(), Some(0));
}

#[test]
fn a_running_server_knows_of_changed_accounts() {
    let dir = tempfile::tempdir().expect("a folder");
    let user = |arguments: &[&str], input: &[u8]| {
        let arguments = [&["user", "--data-dir", text(dir.path())], arguments].concat();
        assert_done(&run_with_input(&arguments, input));
    };
    let (accepted, refused) = (0, 4);
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.connect("alice", "secret"), refused);
    user(&["add", "alice"], b"secret");
    assert_eq!(server.connect("alice", "secret"), accepted);
    assert_eq!(server.connect("alice", "Secret"), refused);
    user(&["passwd", "alice"], b"second");
    assert_eq!(server.connect("alice", "secret"), refused);
    assert_eq!(server.connect("alice", "second"), accepted);
    user(&["remove", "alice"], b"");
    assert_eq!(server.connect("alice", "second"), refused);
    assert_eq!(server.terminate().code(), Some(0));
}
