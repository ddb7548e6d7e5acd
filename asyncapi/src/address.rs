//! Addresses of channels: topics with parameters in them.

use jsonschema::Validator;
use serde_json::Value;

/// A channel's address, such as `chats/{chat}/edit/{seq}`.
pub(crate) struct Address {
    text: String,
    levels: Vec<Level>,
}

enum Level {
    Literal(String),
    Parameter(Validator),
}

impl Address {
    /// Reads an address; `parameter` finds the schema of a parameter's values.
    pub(crate) fn parse<E>(
        text: &str,
        mut parameter: impl FnMut(&str) -> Result<Validator, E>,
    ) -> Result<Self, E> {
        let level = |level: &str| {
            let name = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(name) => parameter(name).map(Level::Parameter),
                None => Ok(Level::Literal(level.to_owned())),
            }
        };
        let levels = text.split('/').map(level).collect::<Result<_, E>>()?;
        Ok(Self { text: text.to_owned(), levels })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        let pairs = || self.levels.iter().zip(topic.split('/'));
        // The literal levels first: most addresses are told apart by them, and schemas take their time.
        topic.split('/').count() == self.levels.len()
            && pairs().all(|(level, given)| match level {
                Level::Literal(literal) => literal == given,
                Level::Parameter(_) => true,
            })
            && pairs().all(|(level, given)| match level {
                Level::Literal(_) => true,
                Level::Parameter(schema) => schema.is_valid(&Value::from(given)),
            })
    }
}
