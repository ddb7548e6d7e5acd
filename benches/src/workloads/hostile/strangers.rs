//! Those whom nobody has let in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{Own, Stage};
use crate::error::Error;
use crate::generator::wire::put_connect;

/// Connections of one address: fewer than limits.connecting_per_address_max, so that an attacker of many addresses
/// gets as far as he can.
const PER_ADDRESS: usize = 250;
/// Threads that connect without a pause: many, because one whose SYN finds the queue full waits for a second.
const FLOODERS: usize = 16;

/// Connects from one of many addresses of the loopback network.
pub(super) fn connect_from(stage: &Stage<'_>, number: usize) -> Result<TcpStream, Error> {
    let last = u8::try_from(2 + number / PER_ADDRESS % 250).expect("below 256");
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
    let connected = socket.and_then(|socket| {
        socket.bind(&from.into())?;
        socket.connect_timeout(&stage.server.address().into(), stage.deadline.left())?;
        Ok(TcpStream::from(socket))
    });
    connected.map_err(Error::io("open a connection"))
}

fn hello(stage: &Stage<'_>, number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let name = format!("mallory{number}");
    put_connect(&mut out, stage.settings.version(), &name, &name, 10, false);
    out
}

/// A byte of a CONNECT each second, on each; who is closed comes again.
pub(super) fn slowloris(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(5_000);
    let hello = hello(stage, 0);
    let mut slow = Vec::new();
    for number in 0..count {
        slow.push((connect_from(stage, number)?, 0));
    }
    stage.ready();
    let (mut again, mut bytes) = (0_u32, 0_u32);
    while stage.goes_on() {
        let round = Instant::now();
        for (number, (stream, sent)) in slow.iter_mut().enumerate() {
            // All but the last.
            let at = (*sent).min(hello.len() - 2);
            match stream.write_all(&hello[at..=at]) {
                Ok(()) => (*sent, bytes) = (at + 1, bytes + 1),
                Err(_) => {
                    (*stream, *sent, again) = (connect_from(stage, number)?, 0, again + 1);
                }
            }
            if !stage.goes_on() {
                break;
            }
        }
        while stage.goes_on() && round.elapsed() < Duration::from_secs(1) {
            // Time itself is what is waited for here.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(vec![
        ("connections that say a byte a second".into(), count as f64),
        ("were closed and came again".into(), again.into()),
        ("bytes said".into(), bytes.into()),
    ])
}

/// Let in, without keep-alive, and then nothing: as if their machines were gone.
pub(super) fn silent(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(5_000);
    let before = stage.memory()?;
    let mut silent = Vec::new();
    for number in 0..count {
        let mut stream = connect_from(stage, number)?;
        stream.write_all(&hello(stage, number)).map_err(Error::io("say hello"))?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).map_err(Error::io("be let in"))?;
        silent.push(stream);
    }
    let after = stage.memory()?;
    stage.ready();
    stage.hold();
    Ok(vec![
        ("connections that were let in and are silent".into(), count as f64),
        ("KiB each".into(), (after.0 - before.0) * 1024.0 / count as f64),
    ])
}

/// Connect, and leave.
pub(super) fn flood(stage: &Stage<'_>) -> Result<Own, Error> {
    storm(stage, "connections a second", |stream, _| drop(stream))
}

/// Connect, say half a hello, and reset.
pub(super) fn resets(stage: &Stage<'_>) -> Result<Own, Error> {
    let hello = hello(stage, 0);
    storm(stage, "resets a second", |mut stream, number| {
        // The server may have been first.
        let _sent = stream.write_all(&hello[..number % hello.len()]);
        let _set = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    })
}

fn storm(
    stage: &Stage<'_>,
    what: &str,
    end: impl Fn(TcpStream, usize) + Sync,
) -> Result<Own, Error> {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    stage.ready();
    let one = |first: usize| -> Result<(), Error> {
        let mut number = first;
        while stage.goes_on() {
            match connect_from(stage, number * PER_ADDRESS) {
                Ok(stream) => end(stream, number),
                // All ports of the address are in their last wait.
                Err(Error::Io { source, .. })
                    if matches!(
                        source.kind(),
                        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse
                    ) => {}
                Err(error) => return Err(error),
            }
            done.fetch_add(1, Ordering::Relaxed);
            number += FLOODERS;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let one = &one;
        let all: Vec<_> = (0..FLOODERS).map(|first| scope.spawn(move || one(first))).collect();
        let ended = all.into_iter().map(|it| it.join().expect("it does not panic"));
        ended.collect::<Result<(), _>>()
    })?;
    Ok(vec![(what.into(), done.into_inner() as f64 / start.elapsed().as_secs_f64())])
}
