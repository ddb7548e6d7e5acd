//! The document: its channels, and what is said on them in each direction.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::address::Address;
use crate::error::{DocumentError, Mismatch};
use crate::payload::instance;

/// The one of this tree.
const TEXT: &str = include_str!("../../docs/asyncapi.yaml");

/// References that lead to references, at most.
const REFERENCES_MAX: usize = 8;

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A client publishes it: the document's `send`.
    ToServer,
    /// The server publishes it: the document's `receive`.
    ToClient,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToServer => "to the server",
            Self::ToClient => "to a client",
        })
    }
}

/// The document, with its schemas compiled. Asking it takes microseconds, reading it some ten milliseconds.
pub struct Document {
    json: Value,
    channels: Vec<Channel>,
    /// By method: what its answers may be.
    answers: HashMap<String, Vec<Arc<Message>>>,
    /// What a PUBACK of MQTT 5 says of a message that is stored.
    puback: Validator,
}

struct Channel {
    address: Address,
    /// What is said on it, in the direction of each of its operations.
    messages: Vec<(Direction, Vec<Arc<Message>>)>,
}

struct Message {
    name: String,
    content_type: String,
    payload: Validator,
}

impl Document {
    /// The document of this tree.
    ///
    /// # Panics
    /// If it cannot be read: nothing can be tested then.
    pub fn get() -> &'static Self {
        static DOCUMENT: LazyLock<Document> =
            LazyLock::new(|| Document::parse(TEXT).unwrap_or_else(|error| panic!("{error}")));
        &DOCUMENT
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is no YAML, a reference leads nowhere, or a schema is none. What else AsyncAPI asks of it is
    /// not checked here.
    pub fn parse(yaml: &str) -> Result<Self, DocumentError> {
        Reader::new(serde_saphyr::from_str(yaml)?).document()
    }

    /// The document as JSON, its references as they stand there.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The addresses of the channels that a topic is of. There has to be one.
    #[must_use]
    pub fn addresses(&self, topic: &str) -> Vec<&str> {
        self.channels_of(topic).map(|channel| channel.address.as_str()).collect()
    }

    /// Whether this may be said there. `method` is the one that is answered, where that is known.
    ///
    /// # Errors
    /// [`Mismatch`]: the topic is not of one channel with an operation in this direction, or the payload
    /// is not of one of its messages.
    pub fn check(
        &self,
        direction: Direction,
        topic: &str,
        payload: &[u8],
        method: Option<&str>,
    ) -> Result<(), Mismatch> {
        let mismatch = |faults: Vec<String>| Mismatch {
            direction,
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            faults,
        };
        let channels: Vec<_> = self.channels_of(topic).collect();
        let [channel] = channels[..] else {
            let addresses = self.addresses(topic).join(", ");
            return Err(mismatch(vec![format!(
                "the topic is of one channel, not of [{addresses}]"
            )]));
        };
        let said = channel.messages.iter().find(|(of, _)| *of == direction);
        let Some((_, messages)) = said else {
            let address = channel.address.as_str();
            return Err(mismatch(vec![format!(
                "no operation of {address} says anything {direction}"
            )]));
        };
        let messages = match method {
            None => messages,
            Some(method) => self
                .answers
                .get(method)
                .ok_or_else(|| mismatch(vec![format!("there is no method {method}")]))?,
        };
        let faults: Vec<_> = messages.iter().map(|message| message.faults(payload)).collect();
        match faults.iter().filter(|faults| faults.is_empty()).count() {
            1 => Ok(()),
            0 => Err(mismatch(faults.concat())),
            // AsyncAPI 3.0, Channel Object: "valid against one, and only one".
            _ => Err(mismatch(vec!["it is of more than one message of the channel".to_owned()])),
        }
    }

    /// Whether a PUBACK of MQTT 5 may say this of a message that is stored.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn check_puback(
        &self,
        topic: &str,
        user_properties: &[(String, String)],
    ) -> Result<(), Mismatch> {
        let pairs =
            user_properties.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        let properties = Value::Object(pairs.collect::<Map<_, _>>());
        let faults = faults_of("PUBACK", &self.puback, &properties);
        if faults.is_empty() {
            return Ok(());
        }
        let payload = properties.to_string().into_bytes();
        Err(Mismatch { direction: Direction::ToClient, topic: topic.to_owned(), payload, faults })
    }

    fn channels_of(&self, topic: &str) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| channel.address.matches(topic))
    }
}

impl Message {
    /// The rules that the payload breaks.
    fn faults(&self, payload: &[u8]) -> Vec<String> {
        match instance(&self.content_type, payload) {
            Ok(instance) => faults_of(&self.name, &self.payload, &instance),
            Err(error) => vec![format!("{}: {error}", self.name)],
        }
    }
}

fn faults_of(name: &str, schema: &Validator, instance: &Value) -> Vec<String> {
    if schema.is_valid(instance) {
        return Vec::new();
    }
    let faults = schema.iter_errors(instance).map(|error| {
        let (rule, at) = (error.schema_path(), error.instance_path());
        format!("{name}: #{rule}: at {:?}: {error}", at.as_str())
    });
    faults.collect()
}

/// A document on its way in.
struct Reader {
    json: Value,
    messages: HashMap<String, Arc<Message>>,
}

impl Reader {
    fn new(json: Value) -> Self {
        Self { json, messages: HashMap::new() }
    }

    fn document(mut self) -> Result<Document, DocumentError> {
        let mut channels: Vec<(String, Channel)> = Vec::new();
        for (name, channel) in self.object("/channels")? {
            let address = text(&channel, &format!("/channels/{name}"), "address")?;
            let address = Address::parse(address, |parameter| {
                self.schema(&format!("/channels/{name}/parameters/{parameter}"), "x-schema")
            })?;
            channels
                .push((format!("#/channels/{name}"), Channel { address, messages: Vec::new() }));
        }
        let mut answers = HashMap::new();
        for (name, operation) in self.object("/operations")? {
            let at = format!("/operations/{name}");
            let direction = match text(&operation, &at, "action")? {
                "send" => Direction::ToServer,
                _ => Direction::ToClient,
            };
            let of = reference(&operation["channel"], &at)?;
            let messages = self.messages_of(of, &operation, &at)?;
            let channel = channels.iter_mut().find(|(reference, _)| reference == of);
            let (_, channel) =
                channel.ok_or_else(|| DocumentError::form(&at, "no such channel"))?;
            if let Some(reply) = operation.get("reply") {
                let method = channel.address.as_str().split('/').nth(1).unwrap_or_default();
                let method = method.to_owned();
                let replies = reference(&reply["channel"], &at)?;
                answers.insert(method, self.messages_of(replies, reply, &at)?);
            }
            channel.messages.push((direction, messages));
        }
        let puback = self.schema("/components/schemas/PubackProperties", "")?;
        let channels = channels.into_iter().map(|(_, channel)| channel).collect();
        Ok(Document { json: self.json, channels, answers, puback })
    }

    /// The messages that an operation or a reply names, or all of its channel's.
    fn messages_of(
        &mut self,
        channel: &str,
        of: &Value,
        at: &str,
    ) -> Result<Vec<Arc<Message>>, DocumentError> {
        let pointers: Vec<String> = match of.get("messages").and_then(Value::as_array) {
            Some(list) => list
                .iter()
                .map(|one| reference(one, at).map(|one| one[1..].to_owned()))
                .collect::<Result<_, _>>()?,
            None => {
                let messages = format!("{}/messages", &channel[1..]);
                let names = self.object(&messages)?;
                names.into_iter().map(|(name, _)| format!("{messages}/{name}")).collect()
            }
        };
        pointers.iter().map(|pointer| self.message(pointer)).collect()
    }

    fn message(&mut self, pointer: &str) -> Result<Arc<Message>, DocumentError> {
        let (pointer, message) = self.resolve(pointer)?;
        if let Some(message) = self.messages.get(&pointer) {
            return Ok(message.clone());
        }
        let traits = message.get("traits").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut content_type = message.get("contentType").cloned();
        for one in &traits {
            let (_, one) = self.resolve(&reference(one, &pointer)?[1..])?;
            content_type = content_type.or_else(|| one.get("contentType").cloned());
        }
        let content_type = content_type.unwrap_or_else(|| self.json["defaultContentType"].clone());
        let message = Arc::new(Message {
            name: pointer.rsplit('/').next().unwrap_or_default().to_owned(),
            content_type: content_type.as_str().unwrap_or_default().to_owned(),
            payload: self.schema(&pointer, "payload")?,
        });
        self.messages.insert(pointer, message.clone());
        Ok(message)
    }

    /// Compiles the schema that stands under `key` of what `pointer` leads to; `""` is that itself.
    fn schema(&self, pointer: &str, key: &str) -> Result<Validator, DocumentError> {
        let (mut place, value) = self.resolve(pointer)?;
        if !key.is_empty() {
            value.get(key).ok_or_else(|| DocumentError::form(&place, format!("no {key}")))?;
            place = format!("{place}/{key}");
        }
        // The components beside it, so that references in it lead there and errors name the place.
        let schema = json!({"$ref": format!("#{place}"), "components": self.json["components"]});
        let options = jsonschema::options().with_draft(Draft::Draft7);
        options.build(&schema).map_err(|error| DocumentError::form(place, error))
    }

    /// Follows references; gives where they end, and what is there.
    fn resolve(&self, pointer: &str) -> Result<(String, Value), DocumentError> {
        let mut place = pointer.to_owned();
        for _ in 0..REFERENCES_MAX {
            let value = self.json.pointer(&place);
            let value =
                value.ok_or_else(|| DocumentError::form(&place, "there is nothing there"))?;
            match value.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#')) {
                Some(to) => place = to.to_owned(),
                None => return Ok((place, value.clone())),
            }
        }
        Err(DocumentError::form(pointer, "references that lead to references without end"))
    }

    fn object(&self, pointer: &str) -> Result<Map<String, Value>, DocumentError> {
        let (place, value) = self.resolve(pointer)?;
        let object = value.as_object().cloned();
        object.ok_or_else(|| DocumentError::form(place, "has to be an object"))
    }
}

fn text<'a>(value: &'a Value, at: &str, key: &str) -> Result<&'a str, DocumentError> {
    let text = value.get(key).and_then(Value::as_str);
    text.ok_or_else(|| DocumentError::form(at, format!("{key} has to be a text")))
}

/// Where a Reference Object leads: within the document, beginning with `#`.
fn reference<'a>(value: &'a Value, at: &str) -> Result<&'a str, DocumentError> {
    let to = text(value, at, "$ref")?;
    if to.starts_with("#/") {
        Ok(to)
    } else {
        Err(DocumentError::form(at, format!("leads to {to}")))
    }
}
