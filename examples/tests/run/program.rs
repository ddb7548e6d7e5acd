//! Programs that run beside a test, and what they say.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that runs. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// An example.
pub(crate) fn example(name: &str) -> Command {
    let path = match name {
        "hello" => env!("CARGO_BIN_EXE_hello"),
        "echo_bot" => env!("CARGO_BIN_EXE_echo_bot"),
        "group_chat" => env!("CARGO_BIN_EXE_group_chat"),
        "bridge_webhook" => env!("CARGO_BIN_EXE_bridge_webhook"),
        "sensor_alerts" => env!("CARGO_BIN_EXE_sensor_alerts"),
        _ => panic!("{name} is no example"),
    };
    Command::new(path)
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let text = format!("{command:?}");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{text}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test may have heard enough.
                let _heard = sender.send(line);
            }
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line with this in it, and gives it.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|_| panic!("waited for {part:?}; said: {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Writes to its input.
    pub(crate) fn tell(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(text.as_bytes()).expect("told");
    }

    /// Closes its input.
    pub(crate) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Whether it ends by itself, with success.
    pub(crate) fn ends_well(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                return status.success();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end; said: {:#?}", self.said);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A server for anybody, with a folder of its own.
pub(crate) struct Server {
    _program: Program,
    dir: tempfile::TempDir,
    host: String,
    port: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // Beside the examples' own folder: the whole workspace is built into one.
        let folder = Path::new(env!("CARGO_BIN_EXE_hello")).parent().expect("a folder");
        let server = folder.join(format!("bluetick{}", std::env::consts::EXE_SUFFIX));
        assert!(server.exists(), "{} is not built: `cargo build`", server.display());
        let mut command = Command::new(server);
        command.args(["serve", "--dev", "--log", "warn", "--mqtt", "127.0.0.1:0", "--data-dir"]);
        let mut program = Program::start(command.arg(dir.path().join("data")));
        let line = program.wait_for("listening mqtt ");
        let place = line.rsplit(' ').next().and_then(|address| address.rsplit_once(':'));
        let (host, port) = place.expect("an address");
        let (host, port) = (host.to_owned(), port.to_owned());
        Self { _program: program, dir, host, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}:{}", self.host, self.port)
    }

    pub(crate) fn place(&self) -> (String, String) {
        (self.host.clone(), self.port.clone())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mosquitto(&self, tool: &str, user: &str) -> Command {
        let mut command = Command::new(tool);
        command.args(["-h", &self.host, "-p", &self.port, "-u", user, "-q", "1"]);
        command
    }

    /// Publishes as a user.
    pub(crate) fn send(&self, user: &str, topic: &str, body: &str) {
        let mut command = self.mosquitto("mosquitto_pub", user);
        let status = command.args(["-t", topic, "-m", body]).status();
        assert!(status.expect("`make setup-test` installs mosquitto's tools").success());
    }

    /// What a user hears.
    pub(crate) fn listen(&self, user: &str) -> Program {
        let mut command = self.mosquitto("mosquitto_sub", user);
        let device = format!("{user}-listens");
        Program::start(command.args(["-i", &device, "-c", "-t", "chats/+/messages"]))
    }
}
