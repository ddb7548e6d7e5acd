//! Messages whose time is over: what they said is erased, their place stays.

use std::sync::Arc;

use bluetick_protocol::Seq;

use super::batch::{Batch, Facts, Need, Write};
use super::chat::ChatNo;
use super::command::Outcome;
use super::entry::{Amendments, Entry};
use super::{Engine, Millis};

impl Engine {
    pub(super) fn decide_expire(
        &mut self,
        no: ChatNo,
        seqs: &[Seq],
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let mut over = Vec::new();
        for seq in seqs {
            let entry = self.entry(no, *seq, facts)?;
            over.extend(entry.filter(|entry| entry.is_expired(now)));
        }
        for entry in over {
            let amendments = Amendments::default();
            batch.push(Write::Amendments { chat: no, seq: entry.seq, amendments });
            self.erase(no, &entry, batch);
        }
        Ok(Outcome::Saved)
    }

    /// Erases an entry: what is left takes its place.
    pub(super) fn erase(&mut self, no: ChatNo, entry: &Entry, batch: &mut Batch) {
        batch.note_stored(no, entry, -1);
        let entry = Arc::new(entry.erased());
        batch.push(Write::Erase { chat: no, entry: entry.clone() });
        self.uncommitted_erased.insert((no, entry.seq), (self.batch_no, entry.clone()));
        batch.erased.push((no, entry));
    }
}
