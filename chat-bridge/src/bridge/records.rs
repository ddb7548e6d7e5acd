//! What is stored of sessions. Who comes back at once finds what the connection before has left,
//! committed or not.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Shared;
use crate::engine::{Command, SavedSession, SessionKey};
use crate::partition::Reply;
use crate::store::StoreError;

/// Records on their way to the store, the newest of each session. A session has one connection at
/// a time, which bounds them.
#[derive(Default)]
pub(super) struct Records {
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    records: HashMap<SessionKey, (u64, Option<SavedSession>)>,
    /// Tells a record from a later one of the same session.
    last_no: u64,
}

impl Records {
    fn begin(&self, key: &SessionKey, record: Option<SavedSession>) -> u64 {
        let under_way = &mut *self.under_way.lock();
        under_way.last_no += 1;
        under_way.records.insert(key.clone(), (under_way.last_no, record));
        under_way.last_no
    }

    fn end(&self, key: &SessionKey, no: u64) {
        let records = &mut self.under_way.lock().records;
        if records.get(key).is_some_and(|(newest, _)| *newest == no) {
            records.remove(key);
        }
    }

    fn get(&self, key: &SessionKey) -> Option<Option<SavedSession>> {
        self.under_way.lock().records.get(key).map(|(_, record)| record.clone())
    }
}

impl Shared {
    /// What there is of a session. Blocks.
    pub(super) fn session_record(
        &self,
        key: &SessionKey,
    ) -> Result<Option<SavedSession>, StoreError> {
        match self.records.get(key) {
            Some(record) => Ok(record),
            None => self.store().session(self.of_user(&key.user).no(), key),
        }
    }

    /// Stores what there is of a session; `None`: nothing any more. Without `then` nobody waits.
    pub(super) fn put_session_record(
        self: &Arc<Self>,
        key: SessionKey,
        record: Option<SavedSession>,
        then: Option<Reply>,
    ) {
        let no = self.records.begin(&key, record.clone());
        let partition = self.of_user(&key.user).clone();
        let (shared, of, urgent) = (self.clone(), key.clone(), then.is_some());
        let reply: Reply = Box::new(move |outcome| {
            // If it could not be stored, what is in the store counts again.
            shared.records.end(&of, no);
            if let Some(then) = then {
                then(outcome);
            }
        });
        let command = match record {
            Some(session) => Command::SaveSession { key, session },
            None => Command::DropSession { key },
        };
        let now = self.now_ms();
        match urgent {
            true => partition.submit(command, now, Some(reply)),
            false => partition.submit_lazily(command, now, reply),
        }
    }
}
