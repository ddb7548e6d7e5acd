//! Who is there: good histories that look suspicious, and broken ones.

use bluetick_checker::{Ask, Event, Promise};

use crate::script::{CHAT, Script};

impl Script {
    fn looks(self, device: &str) -> Self {
        let (user, device) = device.split_once('/').expect("user/device");
        self.push(Event::Looks { user: user.into(), device: device.into() })
    }

    fn told(self, device: &str, of: &str, online: bool) -> Self {
        let (user, device) = device.split_once('/').expect("user/device");
        let (user, device, of) = (user.into(), device.into(), of.into());
        self.push(Event::Presence { user, device, of, online, last_seen: None })
    }
}

fn looking() -> Script {
    Script::two().exchange(1..=1).looks("alice/phone")
}

#[test]
fn good_if_the_last_word_is_true() {
    let script = looking().told("alice/phone", "bob", true);
    script.clone().settled().is_good();
    let script = script.disconnect("bob/phone").told("alice/phone", "bob", false);
    script.settled().is_good();
}

#[test]
fn broken_if_it_is_not() {
    let script = looking().told("alice/phone", "bob", true).disconnect("bob/phone").settled();
    script.breaks(Promise::Receipts, "alice/phone was told that he is there of bob");
    looking().settled().breaks(Promise::Receipts, "alice/phone was told nothing of bob");
}

#[test]
fn broken_if_a_stranger_or_a_blocked_one_is_told() {
    let script = looking().told("alice/phone", "bob", true).told("alice/phone", "zoe", false);
    script.breaks(Promise::Private, "with whom he never shares a chat");
    let ask = Ask::Block { chat: CHAT.into(), blocks: true };
    let script = looking().push(Event::Asked { user: "bob".into(), request: 1, ask });
    let users = Some(Vec::new());
    let script = script.push(Event::Answered { chat: CHAT.into(), request: 1, users });
    // What was on its way.
    script.clone().told("alice/phone", "bob", true).is_good();
    let script = script.reconnect("alice/phone");
    script.clone().told("alice/phone", "bob", false).settled().is_good();
    script.told("alice/phone", "bob", true).breaks(Promise::Private, "who has blocked him");
}
