//! What users asked for beside messages, and what of it is certain at which time.

use std::collections::BTreeMap;

use crate::{Ask, Event, History};

/// All requests by their number.
#[derive(Debug, Default)]
pub(crate) struct Requests<'h>(BTreeMap<u64, Request<'h>>);

/// One request, however often it was asked.
#[derive(Debug)]
pub(crate) struct Request<'h> {
    pub(crate) user: &'h str,
    pub(crate) ask: &'h Ask,
    asked_at: usize,
    answered_at: Option<usize>,
    /// As first answered.
    pub(crate) users: Option<&'h Option<Vec<String>>>,
}

/// What a request turns on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch<'a> {
    /// The user has blocked the other one of this chat.
    Block { chat: &'a str },
    /// Nobody is told what the user has read.
    HidesReading,
}

impl Switch<'_> {
    /// Whether the request turns it on, or off.
    fn turned_by(self, ask: &Ask) -> Option<bool> {
        match (self, ask) {
            (Self::Block { chat }, Ask::Block { chat: of, blocks }) if chat == of => Some(*blocks),
            (Self::HidesReading, Ask::Reading { told }) => Some(!told),
            _ => None,
        }
    }
}

impl<'h> Requests<'h> {
    pub(crate) fn build(history: &'h History) -> Self {
        let mut requests = BTreeMap::new();
        for (at, event) in history.events().iter().enumerate() {
            match event {
                Event::Asked { user, request, ask } => {
                    let fresh = Request { user, ask, asked_at: at, answered_at: None, users: None };
                    requests.entry(*request).or_insert(fresh);
                }
                Event::Answered { request, users, .. } => {
                    if let Some(request) = requests.get_mut(request) {
                        request.answered_at.get_or_insert(at);
                        request.users.get_or_insert(users);
                    }
                }
                _ => {}
            }
        }
        Self(requests)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Request<'h>> {
        self.0.values()
    }

    /// Whether the user ever asked to turn it on.
    pub(crate) fn is_ever_on(&self, user: &str, switch: Switch<'_>) -> bool {
        self.turns(user, switch).any(|(_, on)| on)
    }

    /// Whether it is on from event `from` to event `to`; `None`: it may be turned meanwhile, or nobody
    /// knows. Off until asked for. A repeat turns nothing.
    pub(crate) fn is_on(
        &self,
        user: &str,
        switch: Switch<'_>,
        from: usize,
        to: usize,
    ) -> Option<bool> {
        let latest = self.settled(user, switch, from);
        let (since, on) = latest.map_or((0, false), |(latest, on)| (latest.asked_at, on));
        let contradicts = |(request, turns_on): (&Request<'_>, bool)| {
            let over = request.answered_at.is_some_and(|answered| answered < since);
            turns_on != on && request.asked_at < to && !over
        };
        (!self.turns(user, switch).any(contradicts)).then_some(on)
    }

    /// Where it was on at the latest, if it certainly is at event `at`.
    pub(crate) fn on_since(&self, user: &str, switch: Switch<'_>, at: usize) -> Option<usize> {
        self.is_on(user, switch, at, at).filter(|on| *on)?;
        self.settled(user, switch, at).and_then(|(latest, _)| latest.answered_at)
    }

    /// The latest request that was answered before `at`, and what it turned.
    fn settled(&self, user: &str, switch: Switch<'_>, at: usize) -> Option<(&Request<'h>, bool)> {
        let answered = |(request, _): &(&Request<'_>, bool)| {
            request.answered_at.is_some_and(|answered| answered < at)
        };
        self.turns(user, switch).filter(answered).max_by_key(|(request, _)| request.asked_at)
    }

    /// The requests that turn it, but those that were refused.
    fn turns(&self, user: &str, switch: Switch<'_>) -> impl Iterator<Item = (&Request<'h>, bool)> {
        let own = self.all().filter(move |request| request.user == user);
        let taken = own.filter(|request| !matches!(request.users, Some(None)));
        taken.filter_map(move |request| Some((request, switch.turned_by(request.ask)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Requests, Switch};
    use crate::{Ask, Event, History};

    fn asked(request: u64, blocks: bool) -> Event {
        Event::Asked { user: "bob".into(), request, ask: Ask::Block { chat: "c".into(), blocks } }
    }

    fn answered(request: u64) -> Event {
        Event::Answered { chat: "c".into(), request, users: Some(Vec::new()) }
    }

    #[test]
    fn only_what_nothing_contradicts_is_certain() {
        let events = [
            asked(1, true),
            answered(1),
            asked(2, false),
            answered(2),
            asked(3, true),
            asked(4, false),
            answered(3),
            answered(4),
        ];
        let history: History = events.into_iter().collect();
        let requests = Requests::build(&history);
        let block = Switch::Block { chat: "c" };
        let is_on = |from, to| requests.is_on("bob", block, from, to);
        assert_eq!(is_on(0, 0), Some(false));
        assert_eq!(is_on(0, 1), None);
        assert_eq!(is_on(2, 2), Some(true));
        assert_eq!(is_on(2, 3), None);
        assert_eq!(is_on(4, 4), Some(false));
        // Which of the last two came second, nobody knows.
        assert_eq!(is_on(9, 9), None);
        assert_eq!(requests.on_since("bob", block, 2), Some(1));
        assert_eq!(requests.is_on("alice", block, 9, 9), Some(false));
        assert_eq!(requests.is_on("bob", Switch::HidesReading, 9, 9), Some(false));
    }
}
