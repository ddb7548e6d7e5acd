//! What devices say that they have.

use bluetick_protocol::Seq;

use super::{Acked, Delivery, DeviceKey};
use crate::engine::{Advance, ChatNo, Engine};

impl Delivery {
    /// An entry that a device was given is not sent to it again, as its time is over: it is done with
    /// when the device says so, and does not count as delivered.
    pub fn withdraw(&mut self, key: DeviceKey, no: ChatNo, seq: Seq) {
        if let Some(flow) = self.devices.get_mut(&key).and_then(|device| device.flow_mut(no)) {
            flow.withdraw(seq);
        }
    }

    /// A device has acknowledged; gives what that moves forward, once per chat.
    pub fn acked(&mut self, key: DeviceKey, acked: &[Acked], engine: &mut Engine) -> Vec<Advance> {
        let mut advances: Vec<Advance> = Vec::new();
        let Some(device) = self.devices.get_mut(&key) else { return advances };
        for item in acked {
            let (no, run, receipts) = match *item {
                Acked::Message(no, seq) => {
                    (no, device.flow_mut(no).and_then(|flow| flow.ack(seq)), None)
                }
                Acked::Receipt(no, version) => {
                    let many = engine.chat(no).is_some_and(|chat| chat.members.len() > 1);
                    let flow = device.flow_mut(no);
                    (no, None, flow.and_then(|flow| flow.ack_receipt(version, many)))
                }
            };
            if run.is_none() && receipts.is_none() {
                continue;
            }
            let seq = run.map(|run| run.last);
            let delivered = run.and_then(|run| run.last_acked);
            let Some(member) = device.flow_mut(no).map(|flow| flow.member) else { continue };
            let last = advances.iter_mut().rev().find(|advance| advance.chat == no);
            match last {
                Some(advance) => {
                    advance.seq = seq.or(advance.seq);
                    advance.delivered = delivered.or(advance.delivered);
                    advance.receipts = receipts.or(advance.receipts);
                }
                None => advances.push(Advance {
                    chat: no,
                    member,
                    session: device.attach.session.clone(),
                    seq,
                    delivered,
                    receipts,
                }),
            }
        }
        for advance in &advances {
            device.forget_if_done(advance.chat, self.receipts_members_max, engine);
        }
        device.rest(&mut self.spare);
        advances
    }
}
