//! `bluetick healthcheck`: asks a running server whether it is ready.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::Failure;

/// How long the server may take, for each step.
const PATIENCE: Duration = Duration::from_secs(8);

/// Bytes of the answer that are read.
const ANSWER_BYTES_MAX: u64 = 8192;

/// Asks the server at `address` whether it is ready.
///
/// # Errors
/// It is not, with the reason it gives; or it is not there.
pub(crate) fn ask(address: SocketAddr) -> Result<(), Failure> {
    let address = reachable(address);
    let answer = get_readyz(address)
        .map_err(|error| Failure::Other(format!("no answer from {address}: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_ascii_whitespace().nth(1);
    match status {
        Some("200") => Ok(()),
        Some("503") => Err(Failure::Other(body.trim().to_owned())),
        _ => Err(Failure::Other(format!("{address} does not answer as bluetick does"))),
    }
}

fn get_readyz(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who listens on all addresses is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
