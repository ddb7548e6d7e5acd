//! Requests, and those that wait for their answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bluetick_protocol::rpc::{Answer, Request};
use bluetick_protocol::{ChatId, RequestId};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::error::{Error, ErrorKind};

/// Requests that wait for their answer, at most; a further one waits for one of them.
pub(crate) const REQUESTS_MAX: usize = 32;

/// How long a request waits for its answer, if the application does not say.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// After this time without an answer a request is sent again: the answer comes at QoS 0.
const REPEAT_AFTER: Duration = Duration::from_secs(5);

/// The payload of an answer, as it came.
pub(crate) type Reply = Result<Vec<u8>, Error>;

/// Requests that wait for their answer, by the id by which the server knows a repeat.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: HashMap<RequestId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    whose: Whose,
    /// When it last went out on this connection.
    sent: Option<Instant>,
}

/// Who waits.
#[derive(Debug)]
pub(crate) enum Whose {
    Application(oneshot::Sender<Reply>),
    /// The connection itself, which closes a hole in a chat.
    Repair(ChatId),
}

impl Requests {
    pub(crate) fn add(&mut self, request: Request, whose: Whose) {
        let id = RequestId::try_from(Uuid::now_v7().simple().to_string());
        let id = id.expect("32 hexadecimal digits are a request id");
        self.waiting.insert(id, Waiting { request, whose, sent: None });
    }

    /// One that has to go out (again) by now; those that close holes only if `repairs` may go on.
    pub(crate) fn take_next(
        &mut self,
        now: Instant,
        repairs: bool,
    ) -> Option<(RequestId, Request)> {
        let due = |waiting: &Waiting| {
            waiting.sent.is_none_or(|sent| now >= sent + REPEAT_AFTER)
                && (repairs || matches!(waiting.whose, Whose::Application(_)))
        };
        let (id, waiting) = self.waiting.iter_mut().find(|(_, waiting)| due(waiting))?;
        waiting.sent = Some(now);
        Some((id.clone(), waiting.request.clone()))
    }

    /// The connection was lost: all go out again with the next one.
    pub(crate) fn rewind(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.sent = None;
        }
    }

    /// An answer, or that there will be none: gives who is to hear it, once.
    pub(crate) fn take(&mut self, id: &RequestId) -> Option<Whose> {
        self.waiting.remove(id).map(|waiting| waiting.whose)
    }

    /// Forgets those that nobody waits for any more.
    pub(crate) fn tidy(&mut self) {
        self.waiting.retain(|_, waiting| match &waiting.whose {
            Whose::Application(answer) => !answer.is_closed(),
            Whose::Repair(_) => true,
        });
    }
}

/// What an answer says.
pub(crate) fn read_answer<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    let answer = Answer::<T>::from_json(payload).map_err(|error| {
        Error::new(ErrorKind::Refused, format!("the answer is none that is known here: {error}"))
    })?;
    Ok(Result::from(answer)?)
}
