//! A real server for the tests: started, killed and started again on the same data.

#![allow(dead_code)] // each test file uses its part

pub(crate) mod asyncapi;
pub(crate) mod listener;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up and says what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// What is spoken where, as it says, in its order.
    listening: Vec<(String, String)>,
}

/// Flags that open a port or a socket each.
pub(crate) const LISTENERS: &[&str] = &["--mqtt", "--mqtts", "--ws", "--wss", "--unix", "--http"];

impl Server {
    /// Starts a server for anybody (`--dev`) on a free port.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &["--dev", "--mqtt", "127.0.0.1:0"])
    }

    /// Starts a server with these flags.
    pub(crate) fn start_with(data_dir: &Path, flags: &[&str]) -> Self {
        let mut command = bluetick();
        command.args(["serve", "--log", "warn", "--data-dir"]).arg(data_dir).args(flags);
        Self::spawn(&mut command, flags.iter().filter(|flag| LISTENERS.contains(flag)).count())
    }

    /// Starts it by a command of one's own that opens so many listeners.
    pub(crate) fn spawn(command: &mut Command, listeners: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let mut listening = Vec::new();
        for _ in 0..listeners {
            let line = lines.next().expect("a line that says where it listens").expect("text");
            let place = line.strip_prefix("listening ").and_then(|rest| rest.split_once(' '));
            let (kind, at) = place.expect(&line);
            listening.push((kind.to_owned(), at.to_owned()));
        }
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, listening }
    }

    /// Its first listener of MQTT over TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener("mqtt")
    }

    /// Its first listener of a kind.
    pub(crate) fn listener(&self, kind: &str) -> SocketAddr {
        let place = self.listening.iter().find(|(of, _)| of == kind);
        place.expect(kind).1.parse().expect("an address")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_to("mqtt")
    }

    pub(crate) fn connect_to(&self, kind: &str) -> TcpStream {
        let stream = TcpStream::connect(self.listener(kind)).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM");
        let started = Instant::now();
        loop {
            match self.child.try_wait().expect("asked") {
                Some(status) => return status.code(),
                None if started.elapsed() > PATIENCE => {
                    panic!("the server does not end on SIGTERM")
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_none()
    }

    /// A mosquitto client (`mosquitto_pub`, `mosquitto_sub`) of a user's device.
    pub(crate) fn mosquitto(&self, program: &str, user: &str, device: &str) -> Command {
        let mut command = Command::new(program);
        let (ip, port) = (self.address().ip().to_string(), self.address().port().to_string());
        command.args(["-h", &ip, "-p", &port, "-u", user, "-i", device]);
        command
    }

    /// Publishes with mosquitto_pub at QoS 1.
    pub(crate) fn publish(&self, user: &str, topic: &str, body: &str, more: &[&str]) -> Output {
        let device = format!("{user}-pub");
        let mut command = self.mosquitto("mosquitto_pub", user, &device);
        command.args(["-q", "1", "-t", topic, "-m", body]).args(more);
        run(&mut command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_alive() {
            self.kill();
        }
    }
}

/// A tmpfs that is unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of this size (as `mount` takes it); `None`: only root may, and this is not root.
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The program under test.
pub(crate) fn bluetick() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bluetick"))
}

/// Runs a command to its end, within [`PATIENCE`].
pub(crate) fn run(command: &mut Command) -> Output {
    let text = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{text}: {error}; `make setup-test` installs it"));
    let started = Instant::now();
    while child.try_wait().expect("asked").is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().expect("killed");
            let output = child.wait_with_output().expect("output");
            panic!("{text} does not end; it said: {}{}", out(&output), err(&output));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("output")
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Reads from a connection until the server closes it.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ended = stream.read_to_end(&mut bytes);
    bytes
}
