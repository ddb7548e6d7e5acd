//! The header that a load balancer puts in front of a connection.
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, version 2.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, ParseError};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::handshake::HandshakeError;

/// Signature, version, command, family and length.
const FIXED_BYTES: usize = 16;

/// Bytes that may follow: addresses (216 at most) and what balancers tell of TLS, in hundreds of
/// bytes. A longer header is refused.
const REST_BYTES_MAX: usize = 2048;

/// Reads the header and not a byte more. Gives the client's address; `None`: that of the socket
/// counts, because the balancer speaks for itself (LOCAL, a health check) or names no address.
pub(super) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, HandshakeError> {
    let mut bytes = vec![0; FIXED_BYTES];
    stream.read_exact(&mut bytes).await?;
    // The fixed part is checked before more is read: it may be no header at all.
    let rest = match Header::try_from(bytes.as_slice()) {
        Ok(_) => 0,
        Err(ParseError::Partial(_, rest)) => rest,
        Err(error) => return Err(HandshakeError::Proxy(error.to_string())),
    };
    if rest > REST_BYTES_MAX {
        return Err(HandshakeError::Proxy(format!("{rest} bytes are too long")));
    }
    bytes.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    let header = Header::try_from(bytes.as_slice())
        .map_err(|error| HandshakeError::Proxy(error.to_string()))?;
    Ok(match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
        (Command::Proxy, Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
        (Command::Local, _) | (_, Addresses::Unspecified | Addresses::Unix(_)) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    /// The header's answer, and what of the bytes is left to be read.
    async fn read(after_signature: &[u8]) -> (Result<Option<SocketAddr>, String>, Vec<u8>) {
        let bytes = [SIGNATURE, after_signature].concat();
        let mut stream = bytes.as_slice();
        let answer = read_header(&mut stream).await.map_err(|error| error.to_string());
        (answer, stream.to_vec())
    }

    const IPV4: &[u8] = b"\x21\x11\0\x0C\xC0\0\x02\x01\x7F\0\0\x01\x04\0\x07\x5B";

    #[tokio::test]
    async fn the_clients_address_is_read_and_nothing_behind_it() {
        let address = |text: &str| Ok(Some(text.parse().expect("an address")));
        let got = read(&[IPV4, b"\x10rest"].concat()).await;
        assert_eq!(got, (address("192.0.2.1:1024"), b"\x10rest".to_vec()));

        let mut ipv6 = b"\x21\x21\0\x27".to_vec();
        ipv6.extend([0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        ipv6.extend([0; 16]);
        // Ports, and a TLV that nobody knows.
        ipv6.extend(b"\x04\0\x07\x5B\xEE\0\0");
        assert_eq!(read(&ipv6).await, (address("[2001:db8::1]:1024"), Vec::new()));
    }

    #[tokio::test]
    async fn the_sockets_address_counts_where_there_is_no_other() {
        let local = [b"\x20\x11\0\x0C", &IPV4[4..]].concat();
        let unix = [b"\x21\x31\0\xD8".as_slice(), &[0; 216]].concat();
        for (name, bytes) in [
            ("LOCAL", b"\x20\0\0\0".as_slice()),
            ("LOCAL with an address", &local),
            ("no family", b"\x21\0\0\0"),
            ("no family, more to skip", b"\x21\0\0\x03\xEE\0\0"),
            ("a Unix socket", &unix),
        ] {
            assert_eq!(read(bytes).await, (Ok(None), Vec::new()), "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_such_header_is_refused_unread() {
        for (name, bytes) in [
            ("version 1", b"\x11\x11\0\x0C".as_slice()),
            ("an unassigned command", b"\x22\x11\0\x0C"),
            ("an unassigned family", b"\x21\x41\0\x0C"),
            ("an address that is cut short", b"\x21\x11\0\x04"),
            ("too long", b"\x21\x11\x08\x01"),
        ] {
            let (answer, left) = read(&[bytes, b"rest"].concat()).await;
            assert!(answer.is_err(), "{name}");
            assert_eq!(left, b"rest", "{name}");
        }
        let mut text = b"PROXY TCP4 192.0.2.1 127.0.0.1 1024 1883\r\n".as_slice();
        let error = read_header(&mut text).await.expect_err("version 1 in text");
        assert!(matches!(error, HandshakeError::Proxy(_)), "{error}");
    }
}
