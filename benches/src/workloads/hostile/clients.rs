//! Clients that are let in and do not do as they should.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::strangers::connect_from;
use super::{Own, Stage};
use crate::error::Error;
use crate::generator::blocking::Blocking;
use crate::generator::wire::{put_connect, put_subscribe};
use crate::peers::client;
use crate::settings::WINDOW;

/// Where all is said that nobody listens to.
const LOUD: &str = "pub/loud";
/// Bytes of a message there.
const LOUD_BYTES: usize = 50_000;
/// How many of them in a second: a megabyte.
const LOUD_PER_S: u32 = 20;
/// How many of them fill what the system holds for a connection (4 MiB), with what the server adds to it.
const FIRST: u32 = 200;

/// Opens a connection, is let in, and subscribes to [`LOUD`] if asked to.
fn let_in(
    stage: &Stage<'_>,
    mut stream: TcpStream,
    name: &str,
    window: u16,
    loud: bool,
) -> Result<TcpStream, Error> {
    let version = stage.settings.version();
    let mut out = Vec::new();
    put_connect(&mut out, version, name, name, window, false);
    if loud {
        put_subscribe(&mut out, version, 1, &[LOUD.into()]);
    }
    stream.write_all(&out).map_err(Error::io("say hello"))?;
    // CONNACK and SUBACK, or the beginning of it: what comes is not looked at any more.
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).map_err(Error::io("be let in"))?;
    Ok(stream)
}

/// A connection with the smallest receive buffer that there is.
fn narrow(stage: &Stage<'_>) -> Result<TcpStream, Error> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).and_then(|socket| {
        socket.set_recv_buffer_size(1)?;
        socket.connect_timeout(&stage.server.address().into(), stage.deadline.left())?;
        Ok(TcpStream::from(socket))
    });
    socket.map_err(Error::io("open a connection"))
}

/// Packets of a megabyte each, of which a thousand bytes come, and lengths that are refused.
pub(super) fn announced(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(2_000);
    let mut open = Vec::new();
    for number in 0..count {
        let stream = connect_from(stage, number)?;
        let mut stream = let_in(stage, stream, &format!("m{number}"), WINDOW, false)?;
        stream
            .write_all(&[b"\x30\xF0\xFF\x3F\x00\x05pub/x".as_slice(), &[b'x'; 1000]].concat())
            .map_err(Error::io("announce"))?;
        open.push(stream);
    }
    stage.ready();
    let (start, mut refused) = (Instant::now(), 0_u32);
    while stage.goes_on() {
        let mut stream = connect_from(stage, 0)?;
        stream.write_all(b"\x10\xFF\xFF\xFF\x7F").map_err(Error::io("announce"))?;
        let _end = stream.read(&mut [0]);
        refused += 1;
    }
    Ok(vec![
        ("megabytes announced, of each of which 1 KB has come".into(), count as f64),
        (
            "announcements of 256 MB a second, refused".into(),
            f64::from(refused) / start.elapsed().as_secs_f64(),
        ),
    ])
}

/// Publishes at [`LOUD`] what a second takes, until it is over; `first` messages without a pause before that.
fn be_loud(stage: &Stage<'_>, first: u32, mut meanwhile: impl FnMut()) -> Result<u32, Error> {
    let user = client("loud".into(), Vec::new());
    let (address, version) = (stage.server.address(), stage.settings.version());
    let mut loud = Blocking::connect(address, version, &user, WINDOW, stage.deadline.clone())?;
    let body = vec![b'x'; LOUD_BYTES];
    for _ in 0..first {
        loud.publish(LOUD.as_bytes(), &body)?;
    }
    stage.ready();
    let mut said = first;
    while stage.goes_on() {
        let start = Instant::now();
        loud.publish(LOUD.as_bytes(), &body)?;
        said += 1;
        meanwhile();
        // Time itself is what is waited for here.
        let beat = Duration::from_secs(1) / LOUD_PER_S;
        std::thread::sleep(beat.saturating_sub(start.elapsed()));
    }
    Ok(said)
}

pub(super) fn never_reading(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(200);
    let mut deaf = Vec::new();
    for number in 0..count {
        let stream = narrow(stage)?;
        deaf.push(let_in(stage, stream, &format!("deaf{number}"), WINDOW, true)?);
    }
    let said = be_loud(stage, FIRST, || {})?;
    Ok(vec![
        ("who read nothing".into(), count as f64),
        ("MB published to each of them".into(), f64::from(said) * LOUD_BYTES as f64 / 1e6),
    ])
}

/// Windows of one message and of next to no bytes, read a few bytes at a time.
pub(super) fn tiny_windows(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(500);
    let mut tiny = Vec::new();
    for number in 0..count {
        let stream = let_in(stage, narrow(stage)?, &format!("tiny{number}"), 1, true)?;
        stream.set_nonblocking(true).map_err(Error::io("set a socket"))?;
        tiny.push(stream);
    }
    let mut read = 0;
    let said = be_loud(stage, 0, || {
        for stream in &mut tiny {
            match stream.read(&mut [0; 100]) {
                Ok(bytes) => read += bytes,
                Err(error) => debug_assert!(error.kind() == ErrorKind::WouldBlock, "{error}"),
            }
        }
    })?;
    Ok(vec![
        ("receivers".into(), count as f64),
        ("MB published to each of them".into(), f64::from(said) * LOUD_BYTES as f64 / 1e6),
        ("KB read by each, 100 bytes at a time".into(), read as f64 / 1e3 / count as f64),
    ])
}
