//! Where the server is.

use crate::error::Error;

/// How to get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

/// Where the server is, as a URL says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// A name or an IP address; of version 6 in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// For WebSocket, from the `/` on.
    pub(crate) path: String,
}

impl Address {
    /// Reads `scheme://host[:port][/path]`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): it is something else, or this build has not what
    /// it takes.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong(url))?;
        let (scheme, port) = match scheme {
            "mqtt" => (Scheme::Mqtt, 1883),
            "mqtts" => (Scheme::Mqtts, 8883),
            "ws" => (Scheme::Ws, 80),
            "wss" => (Scheme::Wss, 443),
            _ => return Err(wrong(url)),
        };
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // The colons of an IPv6 address are within brackets.
        let colon = place.rfind(':').filter(|at| !place[*at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => (&place[..at], place[at + 1..].parse().map_err(|_| wrong(url))?),
            None => (place, port),
        };
        let is_web = matches!(scheme, Scheme::Ws | Scheme::Wss);
        let named = !host.is_empty() && !host.contains(['@', '?', '#', ' ']);
        let bracketed = host.starts_with('[') == host.ends_with(']');
        let bare_colon = host.contains(':') && !host.starts_with('[');
        if !named || !bracketed || bare_colon || (!is_web && !matches!(path, "" | "/")) {
            return Err(wrong(url));
        }
        let path = if is_web && path.is_empty() { "/mqtt" } else { path };
        let address = Self { scheme, host: host.to_owned(), port, path: path.to_owned() };
        address.check_features()?;
        Ok(address)
    }

    fn check_features(&self) -> Result<(), Error> {
        let lacks = |feature: &str| {
            Err(Error::invalid(format!(
                "bluetick-client was built without its feature '{feature}'"
            )))
        };
        match self.scheme {
            Scheme::Mqtts | Scheme::Wss if !cfg!(feature = "tls") => lacks("tls"),
            Scheme::Ws | Scheme::Wss if !cfg!(feature = "websocket") => lacks("websocket"),
            _ => Ok(()),
        }
    }

    /// The whole of it, as WebSocket's first request needs it.
    #[cfg_attr(not(feature = "websocket"), allow(dead_code))]
    pub(crate) fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

fn wrong(url: &str) -> Error {
    Error::invalid(format!(
        "{url:?} is no address: mqtt://host[:port], mqtts://…, ws://host[:port]/path or wss://…"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (url, scheme, host, port, path) in [
            ("mqtt://localhost", Scheme::Mqtt, "localhost", 1883, ""),
            ("mqtt://127.0.0.1:7/", Scheme::Mqtt, "127.0.0.1", 7, "/"),
            ("mqtt://[::1]:7", Scheme::Mqtt, "[::1]", 7, ""),
            ("mqtt://[::1]", Scheme::Mqtt, "[::1]", 1883, ""),
            #[cfg(feature = "tls")]
            ("mqtts://chat.example.org", Scheme::Mqtts, "chat.example.org", 8883, ""),
            #[cfg(feature = "websocket")]
            ("ws://h", Scheme::Ws, "h", 80, "/mqtt"),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            ("wss://h:8/a/b", Scheme::Wss, "h", 8, "/a/b"),
        ] {
            let (host, path) = (host.to_owned(), path.to_owned());
            assert_eq!(Address::parse(url), Ok(Address { scheme, host, port, path }), "{url}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for url in [
            "",
            "localhost",
            "http://h",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://h:",
            "mqtt://h:70000",
            "mqtt://h/topic",
            "mqtt://::1",
            "mqtt://[::1",
            "mqtt://user:password@h",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
