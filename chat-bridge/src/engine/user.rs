//! What a user says of himself, and what others may know of him. It is kept in the partition of
//! his name, beside his sessions.

use bluetick_protocol::UserId;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Facts, Need, Write};
use super::command::{Answer, ChangeUser, DeviceId, Outcome, Refused, SessionKey};
use super::{Engine, Millis};

/// What is kept of a user beside his account. Who has none is like the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct User {
    /// What he wants to be called.
    pub name: Option<String>,
    /// What he says about himself.
    pub about: Option<String>,
    /// A reference to his picture.
    pub picture: Option<String>,
    /// Nobody is told when he was last seen or whether he is there; nor is he of others.
    pub hides_presence: bool,
    /// Nobody is told what he has read; nor is he of others.
    pub hides_reading: bool,
}

/// A change of a user; `None` stays as it is, empty text takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserChange {
    /// He says something else of himself.
    Profile {
        /// See [`User::name`].
        name: Option<String>,
        /// See [`User::about`].
        about: Option<String>,
        /// See [`User::picture`].
        picture: Option<String>,
    },
    /// Others may know something else of him.
    Privacy {
        /// See [`User::hides_presence`].
        hides_presence: Option<bool>,
        /// See [`User::hides_reading`].
        hides_reading: Option<bool>,
    },
    /// The session of one of his devices ends.
    RemoveDevice {
        /// Which.
        device: DeviceId,
        /// There is such a device.
        known: bool,
    },
}

/// When a user was last seen. While he is on line it is when he came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: Millis,
    /// A device of his is connected. After a crash it is not, and he was seen until the server was
    /// last known to be alive.
    pub online: bool,
}

impl Engine {
    /// Counts what a user's messages take in the store.
    pub(super) fn decide_stored(
        &mut self,
        user: &UserId,
        bytes: i64,
        facts: &Facts,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let before = match self.uncommitted_stored.get(user) {
            Some((_, bytes)) => *bytes,
            None => *facts.stored.get(user).ok_or_else(|| Need::Stored(user.clone()))?,
        };
        let bytes = before.saturating_add(bytes).max(0);
        self.uncommitted_stored.insert(user.clone(), (self.batch_no, bytes));
        batch.push(Write::Stored { user: user.clone(), bytes });
        Ok(Outcome::Saved)
    }

    pub(super) fn decide_change_user(
        &mut self,
        change: &ChangeUser,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let id = &change.request.user;
        let before = match self.uncommitted_users.get(id) {
            Some((_, user)) => user.clone(),
            None => facts.users.get(id).cloned().ok_or_else(|| Need::User(id.clone()))?,
        };
        if let Some(answer) = self.answered(&change.request, facts)? {
            return Ok(match answer.result {
                Ok(_) => Outcome::UserChanged { user: Box::new(before), repeated: true },
                Err(refused) => Outcome::Refused(refused),
            });
        }
        let mut user = before.clone();
        let mut result = Ok(Vec::new());
        match &change.change {
            UserChange::Profile { name, about, picture } => {
                for (said, new) in
                    [(&mut user.name, name), (&mut user.about, about), (&mut user.picture, picture)]
                {
                    if let Some(new) = new {
                        *said = Some(new.clone()).filter(|new| !new.is_empty());
                    }
                }
            }
            UserChange::Privacy { hides_presence, hides_reading } => {
                user.hides_presence = hides_presence.unwrap_or(user.hides_presence);
                user.hides_reading = hides_reading.unwrap_or(user.hides_reading);
            }
            UserChange::RemoveDevice { device, known: true } => {
                let key = SessionKey { user: id.clone(), device: device.clone() };
                batch.push(Write::Session { key, session: None });
            }
            UserChange::RemoveDevice { known: false, .. } => result = Err(Refused::NoDevice),
        }
        if user != before {
            self.uncommitted_users.insert(id.clone(), (self.batch_no, user.clone()));
            batch.push(Write::User { id: id.clone(), user: user.clone() });
        }
        self.answer(&change.request, Answer { at_ms: now, result: result.clone() }, batch);
        Ok(match result {
            Ok(_) => Outcome::UserChanged { user: Box::new(user), repeated: false },
            Err(refused) => Outcome::Refused(refused),
        })
    }
}
