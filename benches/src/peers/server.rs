//! Starts a server on loopback, waits until it listens, ends it by its id.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::error::Error;
use crate::measure::disk::disk_bytes;
use crate::measure::process::Process;
use crate::peers::Peer;
use crate::settings::{Settings, WINDOW};

/// How long a server may take until it listens: with a million chats it has hundreds of MB of log to read.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long an answer over HTTP may take.
const SCRAPE_LIMIT: Duration = Duration::from_secs(10);
/// Last lines of a server's output that an error shows.
const LINES_KEPT: usize = 20;

/// What the workloads need of bluetick, whatever its defaults are: the generator's users are few and each is as
/// fast as a crowd, so every limit on what one user may do is lifted here, and only here.
const BLUETICK_CONFIG: &str = "\
[limits]
# The windows of the workloads.
inflight_in_max = 100
[chat]
# A group of a thousand and its sender.
group_members_max = 1024
[listen]
http = [\"127.0.0.1:0\"]
";

/// A running server with a data directory of its own; ended, and the directory removed, when dropped.
pub struct Server {
    peer: Peer,
    bluetick: PathBuf,
    window: u16,
    dir: TempDir,
    tls: bool,
    limits: Limits,
    running: Running,
}

/// Keys of bluetick's configuration below `limits`, and what they are set to.
pub type Limits = &'static [(&'static str, &'static str)];

/// A server's certificate, in PEM.
pub struct Certificate {
    /// The certificate itself.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// Where [`Certificate`] is written, in the server's directory.
const CHAIN_FILE: &str = "chain.pem";
const KEY_FILE: &str = "key.pem";

struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    address: SocketAddr,
    lines: Lines,
}

type Lines = Arc<Mutex<VecDeque<String>>>;

impl Server {
    /// Starts `peer` with an empty data directory; returns when it listens.
    ///
    /// `window`: what mosquitto may leave unacknowledged to a receiver.
    ///
    /// # Errors
    /// [`Error::Server`] if it is not there or does not come up.
    pub fn start(peer: Peer, settings: &Settings, window: u16) -> Result<Self, Error> {
        Self::launch(peer, settings, window, None, &[])
    }

    /// bluetick, with limits that are not the default.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_limited(settings: &Settings, limits: Limits) -> Result<Self, Error> {
        Self::launch(Peer::Bluetick, settings, WINDOW, None, limits)
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_tls(
        peer: Peer,
        settings: &Settings,
        window: u16,
        certificate: Certificate,
    ) -> Result<Self, Error> {
        Self::launch(peer, settings, window, Some(certificate), &[])
    }

    fn launch(
        peer: Peer,
        settings: &Settings,
        window: u16,
        certificate: Option<Certificate>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let parent = settings.dir()?;
        let dir = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&parent)
            .map_err(Error::io(format!("make a data directory in {}", parent.display())))?;
        let bluetick = settings.bluetick()?;
        let tls = certificate.is_some();
        if let Some(Certificate { chain, key }) = certificate {
            for (file, text) in [(CHAIN_FILE, chain), (KEY_FILE, key)] {
                fs::write(dir.path().join(file), text).map_err(Error::io("write a certificate"))?;
            }
        }
        let running = launch(peer, &bluetick, &dir, window, tls, limits)?;
        Ok(Self { peer, bluetick, window, dir, tls, limits, running })
    }

    /// Kills it (its promises hold then too) and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.running.end();
        let Self { peer, bluetick, dir, window, tls, limits, .. } = self;
        self.running = launch(*peer, bluetick, dir, *window, *tls, limits)?;
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Adds to an error what the server printed last.
    pub fn explain(&self, error: Error) -> Error {
        let lines = last_lines(&self.running.lines);
        Error::during(format!("{} printed last:{lines}\nand", self.peer.name()))(error)
    }

    /// Bytes that bluetick's data takes of the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        disk_bytes(&data_dir(&self.dir))
    }

    /// One of bluetick's metrics, summed over its labels.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Wrong`] if there is no such metric.
    pub fn metric(&self, name: &str) -> Result<f64, Error> {
        let lines = self.running.lines.lock();
        let http = lines.iter().find_map(|line| line.strip_prefix("listening http ")?.parse().ok());
        drop(lines);
        let http: SocketAddr =
            http.ok_or_else(|| Error::Wrong("bluetick says no address of HTTP".into()))?;
        let mut text = String::new();
        TcpStream::connect_timeout(&http, SCRAPE_LIMIT)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(SCRAPE_LIMIT))?;
                stream.write_all(
                    b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
                )?;
                stream.read_to_string(&mut text)
            })
            .map_err(Error::io("read bluetick's metrics"))?;
        let values = text.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            (labels.is_empty() || labels.starts_with('{')).then_some(value)
        });
        let values: Vec<f64> = values.collect();
        if values.is_empty() {
            return Err(Error::Wrong(format!("bluetick has no metric {name}")));
        }
        Ok(values.iter().sum())
    }

    /// Ends it and has `bluetick compact` rewrite what it has stored.
    ///
    /// # Errors
    /// [`Error::Server`] with what the program says, or [`Error::Io`].
    pub fn end_and_compact(&mut self) -> Result<(), Error> {
        self.running.end();
        let mut command = Command::new(&self.bluetick);
        command.args(["compact", "--data-dir"]).arg(data_dir(&self.dir));
        let output = command.output().map_err(Error::io("run bluetick compact"))?;
        if output.status.success() {
            return Ok(());
        }
        let what = format!("compact: {}", String::from_utf8_lossy(&output.stderr));
        Err(Error::Server { server: self.peer.name(), what })
    }

    /// What it costs is read here.
    pub fn process(&self) -> Process {
        Process::new(self.running.child.id())
    }
}

impl Running {
    fn end(&mut self) {
        // Fails only if it has ended by itself, which the workload has noticed by its connections.
        let _ended = self.child.kill();
        let _status = self.child.wait();
        for reader in self.readers.drain(..) {
            // A reader ends with the pipe; if it panicked there is nothing more to read.
            let _joined = reader.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(
    peer: Peer,
    bluetick: &Path,
    dir: &TempDir,
    window: u16,
    tls: bool,
    limits: Limits,
) -> Result<Running, Error> {
    let (mut command, port) = match peer {
        Peer::Bluetick => {
            let mut command = bluetick_command(bluetick, dir, tls)?;
            let name = |key: &str| format!("BLUETICK_LIMITS__{}", key.to_uppercase());
            command.envs(limits.iter().map(|(key, value)| (name(key), value)));
            (command, None)
        }
        Peer::BluetickPlain => {
            let mut command = bluetick_command(bluetick, dir, tls)?;
            // As mosquitto's `max_queued_messages 0`: who sends does not wait for who receives.
            command.env("BLUETICK_LIMITS__QUEUED_MESSAGES_MAX", "1000000");
            command.env("BLUETICK_LIMITS__QUEUED_BYTES_MAX", "1000000000");
            command.env("BLUETICK_LIMITS__QUEUED_TOTAL_BYTES_MAX", "1000000000");
            (command, None)
        }
        Peer::Mosquitto | Peer::MosquittoNodelay => {
            let port = free_port()?;
            let nodelay = peer == Peer::MosquittoNodelay;
            (mosquitto_command(dir, port, window, tls, nodelay)?, Some(port))
        }
    };
    let spawned =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| Error::Server {
        server: peer.name(),
        what: format!(
            "cannot start {}: {error}; {}",
            command.get_program().display(),
            match peer {
                Peer::Bluetick | Peer::BluetickPlain => {
                    "build it (`cargo build --release`) or name it with --bluetick"
                }
                Peer::Mosquitto | Peer::MosquittoNodelay => "install the package `mosquitto`",
            }
        ),
    })?;
    let lines = Lines::default();
    // Room for every line that can announce an address: a reader never waits for this channel.
    let (announce, announced) = sync_channel(2);
    let readers = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Pipe),
        child.stderr.take().map(|pipe| Box::new(pipe) as Pipe),
    ];
    let readers = readers
        .into_iter()
        .flatten()
        .map(|pipe| read_lines(pipe, port, Arc::clone(&lines), announce.clone()))
        .collect();
    drop(announce);
    let mut running =
        Running { child, readers, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), lines };
    match announced.recv_timeout(START_LIMIT) {
        Ok(address) => {
            running.address = address;
            Ok(running)
        }
        Err(_) => {
            running.end();
            let limit_s = START_LIMIT.as_secs();
            let lines = last_lines(&running.lines);
            Err(Error::Server {
                server: peer.name(),
                what: format!("ended, or does not listen after {limit_s} s; printed:{lines}"),
            })
        }
    }
}

/// The lines kept, each on a line of its own.
fn last_lines(lines: &Lines) -> String {
    let mut text = String::new();
    for line in lines.lock().iter() {
        text += "\n  ";
        text += line;
    }
    text
}

fn bluetick_command(program: &Path, dir: &TempDir, tls: bool) -> Result<Command, Error> {
    let config = dir.path().join("bluetick.toml");
    fs::write(&config, BLUETICK_CONFIG).map_err(Error::io("write bluetick's configuration"))?;
    let mut command = Command::new(program);
    command.args(["serve", "--dev", "--data-dir"]).arg(data_dir(dir)).arg("--config").arg(config);
    command.args([if tls { "--mqtts" } else { "--mqtt" }, "127.0.0.1:0"]);
    if tls {
        command.arg("--cert").arg(dir.path().join(CHAIN_FILE));
        command.arg("--key").arg(dir.path().join(KEY_FILE));
    }
    Ok(command)
}

/// Where bluetick stores everything.
fn data_dir(dir: &TempDir) -> PathBuf {
    dir.path().join("data")
}

fn mosquitto_command(
    dir: &TempDir,
    port: u16,
    window: u16,
    tls: bool,
    nodelay: bool,
) -> Result<Command, Error> {
    let path = dir.path().join("mosquitto.conf");
    // set_tcp_nodelay stays off at QoS 1, its default: turned on, the same work took 19 us of CPU in place of 12,
    // and the latency at window 1 was the same. The measure is mosquitto at its best. At QoS 0 nothing comes back
    // from the receiver, and one pair waits for its delayed acknowledgements.
    let mut config = format!(
        "listener {port} 127.0.0.1\n\
         allow_anonymous true\n\
         persistence false\n\
         max_inflight_messages {window}\n\
         max_queued_messages 0\n\
         set_tcp_nodelay {nodelay}\n\
         connection_messages false\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n\
         log_type notice\n\
         log_type information\n"
    );
    if tls {
        let file = |name: &str| dir.path().join(name).display().to_string();
        // Started by root it would become a user who may not read them; by anybody else, this
        // counts for nothing.
        config += "user root\n";
        config += &format!("certfile {}\nkeyfile {}\n", file(CHAIN_FILE), file(KEY_FILE));
    }
    fs::write(&path, config).map_err(Error::io("write mosquitto's configuration"))?;
    // Debian keeps it where only an administrator's PATH looks.
    let debian = Path::new("/usr/sbin/mosquitto");
    let mut command =
        if debian.exists() { Command::new(debian) } else { Command::new("mosquitto") };
    command.arg("-c").arg(path);
    Ok(command)
}

/// A port that was free a moment ago: mosquitto cannot be given port 0.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}

type Pipe = Box<dyn Read + Send>;

/// Reads a server's output to its end, so that it never waits for us, and announces where it listens.
fn read_lines(
    pipe: Pipe,
    port: Option<u16>,
    lines: Lines,
    announce: SyncSender<SocketAddr>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut announce = Some(announce);
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(address) = listening(&line, port)
                && let Some(announce) = announce.take()
            {
                // Nobody listens only after the start was given up.
                let _sent = announce.try_send(address);
            }
            let mut lines = lines.lock();
            if lines.len() == LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    })
}

/// The address a line announces: bluetick says it, mosquitto (`port`) says only that it runs.
fn listening(line: &str, port: Option<u16>) -> Option<SocketAddr> {
    match port {
        None => {
            let place = line.strip_prefix("listening mqtt ");
            place.or_else(|| line.strip_prefix("listening mqtts "))?.trim().parse().ok()
        }
        Some(port) => {
            line.ends_with(" running").then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        }
    }
}
