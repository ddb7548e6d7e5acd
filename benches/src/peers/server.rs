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
/// How often a server is started that was given ports: another process may have taken one of them meanwhile.
const STARTS_MAX: usize = 3;
/// Last lines of a server's output that an error shows.
const LINES_KEPT: usize = 20;

/// A running server with a data directory of its own; ended, and the directory removed, when dropped.
pub struct Server {
    peer: Peer,
    settings: Settings,
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
pub(super) const CHAIN_FILE: &str = "chain.pem";
pub(super) const KEY_FILE: &str = "key.pem";

/// What a server is started with.
pub(super) struct Setup<'a> {
    pub(super) settings: &'a Settings,
    /// Its own, and empty but for certificates.
    pub(super) dir: &'a Path,
    /// What it may leave unacknowledged to a receiver.
    pub(super) window: u16,
    pub(super) tls: bool,
    pub(super) limits: Limits,
}

impl Setup<'_> {
    /// Where it stores everything; not there at first.
    pub(super) fn data_dir(&self) -> PathBuf {
        data_dir(self.dir)
    }

    /// A program of ours, with the crate of a server in it.
    pub(super) fn command_beside(&self, name: &str) -> Command {
        Command::new(self.settings.built_beside(name).unwrap_or_else(|| name.into()))
    }
}

/// How a server is started.
pub(super) struct Launch {
    command: Command,
    ready: Ready,
    helper: Option<Command>,
    hint: &'static str,
}

/// How a server says that it listens.
#[derive(Clone, Copy)]
pub(super) enum Ready {
    /// With a line that begins so; the rest is the address.
    Announced(&'static str),
    /// With a line that has this in it; it was given the port.
    Line(&'static str, u16),
}

impl Launch {
    /// It is ready when it says so, on its standard output or error.
    pub(super) fn new(command: Command, ready: Ready) -> Self {
        Self { command, ready, helper: None, hint: "is it installed?" }
    }

    /// With a program that it needs to be there, ended after it. What that costs is not counted.
    pub(super) fn beside(self, helper: Command) -> Self {
        Self { helper: Some(helper), ..self }
    }

    /// What to do if the program cannot be started.
    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

struct Running {
    child: Ended,
    helper: Option<Ended>,
    readers: Vec<JoinHandle<()>>,
    address: SocketAddr,
    lines: Lines,
}

/// A process that is ended when dropped.
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        // Fails only if it has ended by itself, which the workload has noticed by its connections.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

type Lines = Arc<Mutex<VecDeque<String>>>;

impl Server {
    /// Starts `peer` with an empty data directory; returns when it listens.
    ///
    /// `window`: what a broker may leave unacknowledged to a receiver.
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
        let tls = certificate.is_some();
        if let Some(Certificate { chain, key }) = certificate {
            for (file, text) in [(CHAIN_FILE, chain), (KEY_FILE, key)] {
                fs::write(dir.path().join(file), text).map_err(Error::io("write a certificate"))?;
            }
        }
        let setup = Setup { settings, dir: dir.path(), window, tls, limits };
        let running = start(peer, &setup)?;
        Ok(Self { peer, settings: settings.clone(), window, dir, tls, limits, running })
    }

    /// Kills it (its promises hold then too) and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.running.end();
        let Self { settings, dir, window, tls, limits, .. } = self;
        let (window, tls) = (*window, *tls);
        let setup = Setup { settings, dir: dir.path(), window, tls, limits };
        self.running = start(self.peer, &setup)?;
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
        disk_bytes(&data_dir(self.dir.path()))
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
        let mut command = Command::new(self.settings.bluetick()?);
        command.args(["compact", "--data-dir"]).arg(data_dir(self.dir.path()));
        let output = command.output().map_err(Error::io("run bluetick compact"))?;
        if output.status.success() {
            return Ok(());
        }
        let what = format!("compact: {}", String::from_utf8_lossy(&output.stderr));
        Err(Error::Server { server: self.peer.name(), what })
    }

    /// What it costs is read here.
    pub fn process(&self) -> Process {
        Process::new(self.running.child.0.id())
    }
}

impl Running {
    fn end(&mut self) {
        self.child.end();
        if let Some(helper) = &mut self.helper {
            helper.end();
        }
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

fn start(peer: Peer, setup: &Setup<'_>) -> Result<Running, Error> {
    let mut starts = 1;
    loop {
        let launch = peer.system().launch(setup)?;
        let was_given_ports = matches!(launch.ready, Ready::Line(..));
        match start_once(peer, launch) {
            Err(_) if was_given_ports && starts < STARTS_MAX => starts += 1,
            result => return result,
        }
    }
}

fn start_once(peer: Peer, launch: Launch) -> Result<Running, Error> {
    let Launch { mut command, ready, mut helper, hint } = launch;
    let spawn = |command: &mut Command| {
        let program = command.get_program().display().to_string();
        command.stdin(Stdio::null()).spawn().map(Ended).map_err(|error| Error::Server {
            server: peer.name(),
            what: format!("cannot start {program}: {error}; {hint}"),
        })
    };
    let silent = |helper: &mut Command| spawn(helper.stdout(Stdio::null()).stderr(Stdio::null()));
    let helper = helper.as_mut().map(silent).transpose()?;
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let lines = Lines::default();
    // Room for every line that can announce an address: a reader never waits for this channel.
    let (announce, announced) = sync_channel(2);
    let readers = [
        child.0.stdout.take().map(|pipe| Box::new(pipe) as Pipe),
        child.0.stderr.take().map(|pipe| Box::new(pipe) as Pipe),
    ];
    let readers = readers
        .into_iter()
        .flatten()
        .map(|pipe| read_lines(pipe, ready, Arc::clone(&lines), announce.clone()))
        .collect();
    drop(announce);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut running = Running { child, helper, readers, address, lines };
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

fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// A port that was free a moment ago, for a server that cannot be given port 0.
pub(super) fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}

type Pipe = Box<dyn Read + Send>;

/// Reads a server's output to its end, so that it never waits for us, and announces where it listens.
fn read_lines(
    pipe: Pipe,
    ready: Ready,
    lines: Lines,
    announce: SyncSender<SocketAddr>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut announce = Some(announce);
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(address) = ready.address(&line)
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

impl Ready {
    /// The address, if this is the line that says it.
    fn address(self, line: &str) -> Option<SocketAddr> {
        match self {
            Ready::Announced(before) => line.strip_prefix(before)?.trim().parse().ok(),
            Ready::Line(part, port) => {
                line.contains(part).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            }
        }
    }
}
