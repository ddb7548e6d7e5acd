//! The few stanzas a chat needs, on byte buffers: encoders append to a `Vec`, the decoder borrows from what was read.
//!
//! Source: RFC 6120 (streams, SASL PLAIN, resource binding), RFC 6121 (messages), XEP-0077 (registration in band),
//! XEP-0184 (delivery receipts), XEP-0198 (stream management).

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use quick_xml::Reader;
use quick_xml::errors::Error as XmlError;
use quick_xml::events::{BytesStart, Event};

use crate::error::Error;

/// The domain that the servers serve.
pub const DOMAIN: &str = "localhost";
/// The resource of every connection: each user has one.
pub const RESOURCE: &str = "bench";
/// The password of every user.
const PASSWORD: &str = "bench";
/// The longest [`Stanza`] id the generator writes, and reads back, in bytes.
const ID_BYTES_MAX: usize = 20;

/// What a server may send to the generator, and only what it looks at of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Stanza<'a> {
    /// The server's own opening of a stream.
    Opened,
    /// What it offers; of no interest, the generator knows what it asks for.
    Features,
    /// SASL let the user in.
    Success,
    /// The answer to a request.
    Answer {
        /// Of which.
        id: Id,
        /// Whether it was carried out.
        ok: bool,
    },
    /// Stream management is on.
    Enabled,
    /// So many stanzas have been handled.
    Ack {
        /// Of those that [`Stanza::counts`] of both ways, since stream management is on.
        handled: u32,
    },
    /// The server asks how many stanzas were handled.
    AckRequest,
    /// A message with a body.
    Message {
        /// What a receipt names.
        id: Id,
        /// The body, still escaped.
        body: &'a [u8],
    },
    /// A receipt: a message was delivered.
    Receipt {
        /// Which one.
        of: Id,
    },
    /// Who is there; the generator does not mind.
    Presence,
    /// A refusal, or something the generator never asked for.
    Other(&'a [u8]),
}

impl Stanza<'_> {
    /// Whether XEP-0198 counts it.
    pub fn counts(&self) -> bool {
        matches!(
            self,
            Stanza::Answer { .. }
                | Stanza::Message { .. }
                | Stanza::Receipt { .. }
                | Stanza::Presence
        )
    }
}

/// The `id` of a stanza, copied; empty if it has none, or one that the generator did not make.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Id {
    length: u8,
    bytes: [u8; ID_BYTES_MAX],
}

impl Id {
    /// The id of the message with this index.
    pub fn of_message(index: u64) -> Self {
        let mut bytes = [0; ID_BYTES_MAX];
        let mut at = ID_BYTES_MAX;
        let mut left = index;
        loop {
            at -= 1;
            bytes[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        Self::copy(&bytes[at..])
    }

    fn copy(text: &[u8]) -> Self {
        let mut id = Self::default();
        if let Some(place) = id.bytes.get_mut(..text.len()) {
            place.copy_from_slice(text);
            id.length = text.len() as u8;
        }
        id
    }

    /// As it stands in the stanza.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.text()))
    }
}

/// Appends the opening of a stream; also the one after SASL.
pub fn put_open(out: &mut Vec<u8>) {
    put(
        out,
        &[
            "<stream:stream to='",
            DOMAIN,
            "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        ],
    );
}

/// Appends the registration of `user`, for servers that know only who registered (XEP-0077).
pub fn put_register(out: &mut Vec<u8>, user: &str) {
    put(
        out,
        &[
            "<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>",
            user,
            "</username><password>",
            PASSWORD,
            "</password></query></iq>",
        ],
    );
}

/// Appends the log-in of `user` with SASL PLAIN.
pub fn put_auth(out: &mut Vec<u8>, user: &str) {
    let secret = format!("\0{user}\0{PASSWORD}");
    put(
        out,
        &[
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>",
            &BASE64_STANDARD.encode(secret),
            "</auth>",
        ],
    );
}

/// Appends the request for [`RESOURCE`].
pub fn put_bind(out: &mut Vec<u8>) {
    put(
        out,
        &[
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>",
            RESOURCE,
            "</resource></bind></iq>",
        ],
    );
}

/// Appends the wish for stream management: from here on both sides count stanzas.
pub fn put_enable(out: &mut Vec<u8>) {
    put(out, &["<enable xmlns='urn:xmpp:sm:3'/>"]);
}

/// Appends the presence that lets messages come.
pub fn put_presence(out: &mut Vec<u8>) {
    put(out, &["<presence/>"]);
}

/// Appends a message to `user` that asks for a receipt.
pub fn put_message(out: &mut Vec<u8>, user: &str, id: Id, body: &[u8]) {
    put(out, &["<message type='chat' to='", user, "@", DOMAIN, "' id='"]);
    out.extend_from_slice(id.text());
    put(out, &["'><body>"]);
    out.extend_from_slice(body);
    put(out, &["</body><request xmlns='urn:xmpp:receipts'/></message>"]);
}

/// Appends the receipt to `user` of the message `of`.
pub fn put_receipt(out: &mut Vec<u8>, user: &str, of: Id) {
    put(out, &["<message to='", user, "@", DOMAIN, "'><received xmlns='urn:xmpp:receipts' id='"]);
    out.extend_from_slice(of.text());
    put(out, &["'/></message>"]);
}

/// Appends the question how many stanzas the server has handled.
pub fn put_ack_request(out: &mut Vec<u8>) {
    put(out, &["<r xmlns='urn:xmpp:sm:3'/>"]);
}

/// Appends how many stanzas were handled.
pub fn put_ack(out: &mut Vec<u8>, handled: u32) {
    put(out, &["<a xmlns='urn:xmpp:sm:3' h='", &handled.to_string(), "'/>"]);
}

/// Appends the end of the stream.
pub fn put_close(out: &mut Vec<u8>) {
    put(out, &["</stream:stream>"]);
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Decodes the first stanza of `bytes` and how many it took, or `None` if it is not all there yet.
///
/// # Errors
/// [`Error::Wrong`] for what is no XML, and for the end of the stream.
pub fn take_stanza(bytes: &[u8]) -> Result<Option<(Stanza<'_>, usize)>, Error> {
    let mut reader = Reader::from_reader(bytes);
    // A stanza is read without the `<stream:stream>` around it: an end that matches nothing is the stream's.
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut outline: Option<Outline<'_>> = None;
    let mut depth = 0_usize;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                match &mut outline {
                    None if element.local_name().as_ref() == "stream" => {
                        return Ok(Some((Stanza::Opened, position(&reader))));
                    }
                    None => outline = Some(Outline::of(&element)?),
                    Some(outline) => outline.handle_child(depth, &element)?,
                }
                depth += 1;
            }
            Ok(Event::Empty(element)) => match &mut outline {
                None => outline = Some(Outline::of(&element)?),
                Some(outline) => outline.handle_child(depth, &element)?,
            },
            Ok(Event::End(_)) => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| Error::Wrong("the server ended the stream".into()))?;
            }
            Ok(Event::Text(text)) => {
                if let Some(outline) = &mut outline {
                    outline.handle_text(text.into_inner());
                }
            }
            Ok(Event::Eof) | Err(XmlError::Syntax(_)) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(Error::Wrong(format!("malformed XML: {error}"))),
        }
        if let Some(outline) = outline.as_ref().filter(|_| depth == 0) {
            let taken = position(&reader);
            return Ok(Some((outline.stanza(&bytes[..taken]), taken)));
        }
    }
}

/// How many bytes were read: those of a slice, so that a `usize` holds them.
fn position(reader: &Reader<&[u8]>) -> usize {
    reader.buffer_position() as usize
}

/// What of a stanza is kept while the rest of it is read.
#[derive(Default)]
struct Outline<'a> {
    name: Name,
    id: Id,
    is_result: bool,
    is_error: bool,
    handled: Option<u32>,
    body: Option<&'a [u8]>,
    /// The next text is the body.
    in_body: bool,
    receipt_of: Option<Id>,
}

/// The outermost element of a stanza, by its local name.
#[derive(Default, Clone, Copy)]
enum Name {
    Features,
    Success,
    Enabled,
    Iq,
    Message,
    Presence,
    Ack,
    AckRequest,
    #[default]
    Other,
}

impl<'a> Outline<'a> {
    fn of(element: &BytesStart<'_>) -> Result<Self, Error> {
        let name = match element.local_name().as_ref() {
            "features" => Name::Features,
            "success" => Name::Success,
            "enabled" => Name::Enabled,
            "iq" => Name::Iq,
            "message" => Name::Message,
            "presence" => Name::Presence,
            "a" => Name::Ack,
            "r" => Name::AckRequest,
            _ => Name::Other,
        };
        let mut outline = Self { name, ..Self::default() };
        for attribute in element.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| Error::Wrong(format!("malformed attribute: {error}")))?;
            match attribute.key.as_ref() {
                "id" => outline.id = Id::copy(attribute.value.as_bytes()),
                "type" => {
                    outline.is_result = *attribute.value == *"result";
                    outline.is_error = *attribute.value == *"error";
                }
                "h" => outline.handled = attribute.value.parse().ok(),
                _ => {}
            }
        }
        Ok(outline)
    }

    fn handle_child(&mut self, depth: usize, element: &BytesStart<'_>) -> Result<(), Error> {
        self.in_body = false;
        // What is inside of an extension is of no interest.
        if depth != 1 {
            return Ok(());
        }
        match element.local_name().as_ref() {
            "body" => self.in_body = true,
            "received" => {
                let id = element
                    .try_get_attribute("id")
                    .map_err(|error| Error::Wrong(format!("malformed attribute: {error}")))?;
                self.receipt_of = id.map(|id| Id::copy(id.value.as_bytes()));
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_text(&mut self, text: Cow<'a, str>) {
        if std::mem::take(&mut self.in_body)
            && let Cow::Borrowed(text) = text
        {
            self.body = Some(text.as_bytes());
        }
    }

    /// What it is; `bytes` are all of it.
    fn stanza(&self, bytes: &'a [u8]) -> Stanza<'a> {
        let id = self.id;
        match (self.name, self.receipt_of, self.body) {
            (Name::Features, ..) => Stanza::Features,
            (Name::Success, ..) => Stanza::Success,
            (Name::Enabled, ..) => Stanza::Enabled,
            (Name::AckRequest, ..) => Stanza::AckRequest,
            (Name::Iq, ..) if self.is_result || self.is_error => {
                Stanza::Answer { id, ok: self.is_result }
            }
            (Name::Presence, ..) if !self.is_error => Stanza::Presence,
            (Name::Message, Some(of), _) if !self.is_error => Stanza::Receipt { of },
            (Name::Message, None, Some(body)) if !self.is_error => Stanza::Message { id, body },
            (Name::Ack, ..) => match self.handled {
                Some(handled) => Stanza::Ack { handled },
                None => Stanza::Other(bytes),
            },
            _ => Stanza::Other(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ejabberd 23.01 delivers, with what it adds for its archive.
    const MESSAGE: &str = "<message xml:lang='en' to='r0@localhost/bench' \
        from='s0@localhost/bench' type='chat' id='17'><archived by='r0@localhost' id='1' \
        xmlns='urn:xmpp:mam:tmp'/><stanza-id by='r0@localhost' id='1700000000000000' \
        xmlns='urn:xmpp:sid:0'/><request xmlns='urn:xmpp:receipts'/><body>#000000000017#x\
        </body></message>";

    fn all(mut bytes: &[u8]) -> Vec<Stanza<'_>> {
        let mut stanzas = Vec::new();
        while let Some((stanza, taken)) = take_stanza(bytes).unwrap() {
            stanzas.push(stanza);
            bytes = &bytes[taken..];
        }
        assert_eq!(bytes, b"", "all is taken");
        stanzas
    }

    fn id(text: &str) -> Id {
        Id::copy(text.as_bytes())
    }

    #[test]
    fn a_message_comes_back_from_every_cut() {
        let bytes = format!("{MESSAGE}<r xmlns='urn:xmpp:sm:3'/>");
        for cut in 0..MESSAGE.len() {
            assert_eq!(take_stanza(&bytes.as_bytes()[..cut]).unwrap(), None, "cut at {cut}");
        }
        let message = Stanza::Message { id: Id::of_message(17), body: b"#000000000017#x" };
        assert_eq!(all(bytes.as_bytes()), [message, Stanza::AckRequest]);
    }

    #[test]
    fn what_is_said_before_messages_is_told_apart() {
        let bytes = "<?xml version='1.0'?><stream:stream id='1' version='1.0' \
            xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>\
            <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN\
            </mechanism></mechanisms></stream:features>\
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
            <iq id='bind' type='result'><bind><jid>r0@localhost/bench</jid></bind></iq>\n\
            <iq id='register' type='error'><error type='cancel'><conflict/></error></iq>\
            <enabled xmlns='urn:xmpp:sm:3'/><presence from='r0@localhost/bench'/>\
            <a xmlns='urn:xmpp:sm:3' h='42'/>";
        assert_eq!(
            all(bytes.as_bytes()),
            [
                Stanza::Opened,
                Stanza::Features,
                Stanza::Success,
                Stanza::Answer { id: id("bind"), ok: true },
                Stanza::Answer { id: id("register"), ok: false },
                Stanza::Enabled,
                Stanza::Presence,
                Stanza::Ack { handled: 42 },
            ]
        );
    }

    #[test]
    fn receipts_and_errors_are_no_messages() {
        let mut receipt = Vec::new();
        put_receipt(&mut receipt, "s0", Id::of_message(17));
        assert_eq!(all(&receipt), [Stanza::Receipt { of: id("17") }]);
        let refused = MESSAGE.replace("'chat'", "'error'");
        assert_eq!(all(refused.as_bytes()), [Stanza::Other(refused.as_bytes())]);
        let ended = b"<stream:error><conflict/></stream:error></stream:stream>";
        let (stanza, taken) = take_stanza(ended).unwrap().unwrap();
        assert!(matches!(stanza, Stanza::Other(_)));
        assert!(take_stanza(&ended[taken..]).is_err(), "the end of the stream");
        assert!(take_stanza(b"<iq id=>&;</iq>").is_err(), "no XML");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = Vec::new();
        put_message(&mut bytes, "r0", Id::of_message(0), b"#000000000000#x");
        put_ack(&mut bytes, 7);
        put_ack_request(&mut bytes);
        put_presence(&mut bytes);
        assert_eq!(
            all(&bytes),
            [
                Stanza::Message { id: id("0"), body: b"#000000000000#x" },
                Stanza::Ack { handled: 7 },
                Stanza::AckRequest,
                Stanza::Presence,
            ]
        );
        assert_eq!(Id::of_message(u64::MAX).text(), u64::MAX.to_string().as_bytes());
        assert_eq!(id("longer than any id of ours").text(), b"");
    }
}
