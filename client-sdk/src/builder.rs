//! What a client is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bluetick_protocol::UserId;
use bluetick_protocol::rpc::DEVICE_BYTES_MAX;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::client::{Client, Inner, Lifeline};
use crate::connection::{Address, COMMANDS_MAX, Driver, Parts, Settings};
use crate::credentials::Password;
use crate::error::Error;
use crate::event::Connection;
use crate::inbox::{Events, Inbox};
use crate::outbox::{Limits, Outbox};
use crate::request::{REQUEST_TIMEOUT, REQUESTS_MAX};

/// How the chat is said on the wire; what can be done is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Readable: JSON, and topics in words.
    #[default]
    Json,
    /// In fewer bytes: CBOR, and topics of a letter. Source: docs/compact.md.
    Compact,
}

/// What a client is made of: see [`Client::builder`]. Only [`user`](Builder::user) and
/// [`device`](Builder::device) have to be given.
#[derive(Debug, Clone)]
#[must_use = "it does nothing before `connect`"]
pub struct Builder {
    url: String,
    user: String,
    password: String,
    device: String,
    program: String,
    outbox: Option<PathBuf>,
    limits: Limits,
    dialect: Dialect,
    bare_acks: bool,
    messages: bool,
    own_messages: bool,
    receipts: bool,
    presence: bool,
    typing: bool,
    manual_acks: bool,
    unacked_max: u16,
    packet_bytes_max: u32,
    keep_alive: Duration,
    session_expiry: Duration,
    request_timeout: Duration,
    backoff: (Duration, Duration),
    #[cfg(feature = "tls")]
    tls: crate::tls::Trust,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            user: String::new(),
            password: String::new(),
            device: String::new(),
            program: concat!("bluetick-client ", env!("CARGO_PKG_VERSION")).to_owned(),
            outbox: None,
            // Some days of a busy person's messages; all of it is in memory as well.
            limits: Limits { entries_max: 10_000, bytes_max: 64 << 20 },
            dialect: Dialect::Json,
            bare_acks: false,
            messages: true,
            own_messages: true,
            receipts: true,
            presence: false,
            typing: false,
            manual_acks: false,
            // At a round trip of 50 ms, 1,000 messages a second.
            unacked_max: 64,
            // A page of history (256 KiB of bodies, escaped) fits.
            packet_bytes_max: 2 << 20,
            // Below what routers forget a silent connection after.
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::from_secs(30 * 24 * 3600),
            request_timeout: REQUEST_TIMEOUT,
            backoff: (Duration::from_millis(250), Duration::from_secs(30)),
            #[cfg(feature = "tls")]
            tls: crate::tls::Trust::default(),
        }
    }

    /// Who.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// His password; none for a server without. [`Client::set_password`] changes it later.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = password.into();
        self
    }

    /// The device: any name that is the same at every start and that no other program of this user has at
    /// the same time, 1 to 256 bytes. The server keeps for it what it has not got yet.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// What this program calls itself, for [`Client::devices`].
    pub fn program(mut self, program: impl Into<String>) -> Self {
        self.program = program.into();
        self
    }

    /// A file for the messages that are not sent yet, made if it is not there: they survive the program
    /// then. One for each device; without it they are in memory.
    pub fn outbox(mut self, path: impl Into<PathBuf>) -> Self {
        self.outbox = Some(path.into());
        self
    }

    /// How much the outbox holds: messages, and bytes. Beyond, [`Chat::send`](crate::Chat::send) fails with
    /// [`ErrorKind::OutboxFull`](crate::ErrorKind::OutboxFull). Default: 10,000 and 64 MiB.
    pub fn outbox_max(mut self, messages: usize, bytes: usize) -> Self {
        self.limits = Limits { entries_max: messages, bytes_max: bytes };
        self
    }

    /// How the chat is said on the wire. Default: [`Dialect::Json`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Asks the server for acknowledgements of four bytes (MQTT's *request problem information* 0), for
    /// narrow lines: [`Sent`](crate::Sent) has then no place and time, and errors no words.
    pub fn bare_acks(mut self, bare: bool) -> Self {
        self.bare_acks = bare;
        self
    }

    /// Whether to get messages at all: for programs that only send or ask, whose taking of a message would
    /// count as its delivery. Default: true.
    pub fn messages(mut self, messages: bool) -> Self {
        self.messages = messages;
        self
    }

    /// Whether messages that this device sends come back as events, with their place in the chat (those of
    /// one's other devices do in any case). Default: true.
    pub fn own_messages(mut self, own: bool) -> Self {
        self.own_messages = own;
        self
    }

    /// Whether to be told how far the others got (and oneself, on another device). Default: true.
    pub fn receipts(mut self, receipts: bool) -> Self {
        self.receipts = receipts;
        self
    }

    /// Whether to be told who comes and goes, of all with whom one shares a chat. Default: false.
    pub fn presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// Whether to be told who types. Default: false.
    pub fn typing(mut self, typing: bool) -> Self {
        self.typing = typing;
        self
    }

    /// Whether a message counts as delivered only when [`Events::ack`] says so, rather than when it is
    /// taken: for programs that store what they get, and must not lose it in a crash. Default: false.
    pub fn manual_acks(mut self, manual: bool) -> Self {
        self.manual_acks = manual;
        self
    }

    /// How many messages the server sends ahead of what was taken, 1 to 1,024. It bounds what a slow
    /// application costs in memory. Default: 64.
    pub fn unacked_max(mut self, messages: u16) -> Self {
        self.unacked_max = messages.clamp(1, 1024);
        self
    }

    /// The largest packet to be sent by the server, at least 1,024 bytes; a message that does not fit comes
    /// without its body ([`Message::omitted_bytes`](crate::Message::omitted_bytes)). Default: 2 MiB.
    pub fn packet_bytes_max(mut self, bytes: u32) -> Self {
        self.packet_bytes_max = bytes.max(1024);
        self
    }

    /// After how much silence the server is asked whether it is there: whole seconds, at least 5. A dead
    /// connection is found within twice that. Default: 30 s.
    pub fn keep_alive(mut self, silence: Duration) -> Self {
        self.keep_alive = silence.clamp(Duration::from_secs(5), Duration::from_secs(65_535));
        self
    }

    /// How long the server keeps this device's session, and so what it has not got, after a loss. Default:
    /// 30 days; the server may make it less.
    pub fn session_expiry(mut self, time: Duration) -> Self {
        self.session_expiry = time;
        self
    }

    /// How long a request waits for its answer. Default: 30 s.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request_timeout = time;
        self
    }

    /// How long to wait before a lost connection is tried again: at first, and at most. Each wait is twice
    /// the one before, less some of it by chance. Default: 250 ms and 30 s.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = (min, max.max(min));
        self
    }

    /// Trusts these certificate authorities (PEM), in place of the system's.
    #[cfg(feature = "tls")]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.authorities = Some(pem.into());
        self
    }

    /// Shows the server this certificate chain and its key (PEM): with a server that takes them, it is
    /// the login, and no password is needed.
    #[cfg(feature = "tls")]
    pub fn certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.certificate = Some((chain.into(), key.into()));
        self
    }

    /// Opens the outbox and starts the task that owns the connection, in this tokio runtime. Does not wait
    /// for the server, which may be down: [`Client::settled`] does.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): the URL, a name, a certificate; the outbox is in
    /// use, or another user's. [`ErrorKind::Storage`](crate::ErrorKind::Storage).
    pub async fn connect(self) -> Result<(Client, Events), Error> {
        let user = UserId::try_from(self.user.as_str())?;
        if !(1..=DEVICE_BYTES_MAX).contains(&self.device.len()) {
            let text = format!("a device has a name of 1 to {DEVICE_BYTES_MAX} bytes");
            return Err(Error::invalid(text));
        }
        let settings = Settings {
            address: Address::parse(&self.url)?,
            user: user.clone(),
            device: self.device,
            program: self.program,
            dialect: self.dialect,
            bare_acks: self.bare_acks,
            messages: self.messages,
            own_messages: self.own_messages,
            receipts: self.receipts,
            presence: self.presence,
            typing: self.typing,
            manual_acks: self.manual_acks,
            unacked_max: self.unacked_max,
            packet_bytes_max: self.packet_bytes_max,
            keep_alive: self.keep_alive,
            session_expiry_s: u32::try_from(self.session_expiry.as_secs()).unwrap_or(u32::MAX),
            backoff: self.backoff,
            #[cfg(feature = "tls")]
            tls: self.tls.config(&self.url)?,
        };
        let outbox = Arc::new(Outbox::open(self.outbox, user.clone(), self.limits).await?);
        let inbox = Arc::new(Inbox::default());
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let state = watch::Sender::new(Connection::Connecting);
        let end = Arc::new(Notify::new());
        let lifeline = Arc::new(Lifeline(end.clone()));
        let (password, last_loss) = (Password::new(self.password), Arc::new(Mutex::new(None)));
        let parts = Parts {
            settings,
            outbox: outbox.clone(),
            inbox: inbox.clone(),
            password: password.clone(),
            commands,
            _sender: sender.clone(),
            lifeline: end,
            state: state.clone(),
            last_loss: last_loss.clone(),
        };
        tokio::spawn(Driver::new(parts).run());
        let inner = Inner {
            user,
            outbox,
            commands: sender,
            state,
            last_loss,
            password,
            requests: Semaphore::new(REQUESTS_MAX),
            request_timeout: self.request_timeout,
        };
        Ok((Client::new(inner, lifeline.clone()), Events::new(inbox, lifeline)))
    }
}
