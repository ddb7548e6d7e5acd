//! One thing wrong with a good history. A [`Mutation`] picks among the places where it must be caught, or
//! among all where it can be done.

use std::collections::BTreeMap;

use bluetick_checker::{Event, History, Promise};
use fastrand::Rng;

/// A way to spoil a history at one place.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// The promises of which one breaks at least.
    pub(crate) breaks: &'static [Promise],
    /// Places (event indices) where it must be caught.
    pub(crate) sites: fn(&Deliveries, &[Event]) -> Vec<usize>,
    pub(crate) apply: fn(&mut Vec<Event>, usize, &Deliveries),
}

impl Mutation {
    /// The history with the mutation at a random place; `None` if it has no place for it.
    pub(crate) fn mutate(&self, history: &History, rng: &mut Rng) -> Option<History> {
        let mut events = history.events().to_vec();
        let deliveries = Deliveries::of(&events);
        let sites = (self.sites)(&deliveries, &events);
        let site = *sites.get(rng.usize(..sites.len().max(1)))?;
        (self.apply)(&mut events, site, &deliveries);
        Some(History::from(events))
    }
}

/// What is known of each [`Event::Received`], by its index.
pub(crate) struct Deliveries(BTreeMap<usize, Delivery>);

#[derive(Clone, Copy)]
pub(crate) struct Delivery {
    seq: u64,
    /// By a subscription at QoS 1.
    complete: bool,
    /// Above all that the session got before, and not its first.
    fresh: bool,
    /// The next one of the same device, chat and connection.
    next: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Line {
    latest: Option<usize>,
    high: Option<u64>,
}

impl Deliveries {
    fn of(events: &[Event]) -> Self {
        let mut found: BTreeMap<usize, Delivery> = BTreeMap::new();
        let mut lines: BTreeMap<(&str, &str), BTreeMap<&str, Line>> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Disconnected { user, device } => {
                    let device = lines.entry((user, device)).or_default();
                    device.values_mut().for_each(|line| line.latest = None);
                }
                Event::Connected { user, device, session_present: false, .. } => {
                    lines.remove(&(user.as_str(), device.as_str()));
                }
                Event::Received { user, device, chat, seq, qos, .. } => {
                    let line = lines.entry((user, device)).or_default().entry(chat).or_default();
                    if let Some(delivery) = line.latest.and_then(|latest| found.get_mut(&latest)) {
                        delivery.next = Some(at);
                    }
                    let fresh = line.high.is_some_and(|high| *seq > high);
                    found.insert(at, Delivery { seq: *seq, complete: *qos > 0, fresh, next: None });
                    *line = Line { latest: Some(at), high: line.high.max(Some(*seq)) };
                }
                _ => {}
            }
        }
        Self(found)
    }

    fn get(&self, at: usize) -> Delivery {
        self.0[&at]
    }

    fn all(&self, which: impl Fn(&Delivery) -> bool) -> Vec<usize> {
        self.0.iter().filter(|(_, delivery)| which(delivery)).map(|(at, _)| *at).collect()
    }
}

fn seq_mut(event: &mut Event) -> &mut u64 {
    match event {
        Event::Received { seq, .. } | Event::Acked { seq: Some(seq), .. } => seq,
        other => panic!("{other:?} has no seq"),
    }
}

fn sites(events: &[Event], which: impl Fn(&Event) -> bool) -> Vec<usize> {
    events.iter().enumerate().filter(|(_, event)| which(event)).map(|(at, _)| at).collect()
}

/// A number beyond all that a history has.
const FAR: u64 = 100_000;

/// Whatever the place, these must be caught.
pub(crate) const CERTAIN: &[Mutation] = &[
    Mutation {
        name: "two deliveries swapped",
        breaks: &[Promise::Ordered],
        sites: |deliveries, _| deliveries.all(|one| one.next.is_some()),
        apply: |events, at, deliveries| {
            events.swap(at, deliveries.get(at).next.expect("a next one"))
        },
    },
    Mutation {
        name: "a delivery repeated",
        breaks: &[Promise::Ordered],
        sites: |deliveries, _| deliveries.all(|_| true),
        apply: |events, at, _| events.insert(at, events[at].clone()),
    },
    Mutation {
        name: "a delivery dropped in mid-stream",
        breaks: &[Promise::Ordered],
        sites: |deliveries, _| {
            deliveries.all(|one| one.complete && one.fresh && one.next.is_some())
        },
        apply: |events, at, _| drop(events.remove(at)),
    },
    Mutation {
        name: "a delivery with the next seq",
        breaks: &[Promise::Ordered],
        sites: |deliveries, _| {
            let runs_on = |one: &Delivery| {
                one.next.is_some_and(|next| deliveries.get(next).seq == one.seq + 1)
            };
            deliveries.all(runs_on)
        },
        apply: |events, at, _| *seq_mut(&mut events[at]) += 1,
    },
    Mutation {
        name: "a delivery with another body",
        breaks: &[Promise::Ordered, Promise::Sent],
        sites: |_, events| {
            let place = |event: &Event| match event {
                Event::Received { chat, seq, .. } => Some((chat.clone(), *seq)),
                _ => None,
            };
            let mut seen: BTreeMap<(String, u64), usize> = BTreeMap::new();
            events.iter().filter_map(place).for_each(|place| *seen.entry(place).or_default() += 1);
            sites(events, |event| place(event).is_some_and(|place| seen[&place] > 1))
        },
        apply: |events, at, _| {
            if let Event::Received { body, .. } = &mut events[at] {
                *body = Some("forged".into());
            }
        },
    },
    Mutation {
        name: "an answer with the next message's seq",
        breaks: &[Promise::Sent],
        sites: |_, events| {
            let acks = |event: &Event| matches!(event, Event::Acked { seq: Some(_), .. });
            let mut acks = sites(events, acks);
            acks.retain(|at| {
                let Event::Acked { tag, seq: Some(seq), .. } = &events[*at] else {
                    return false;
                };
                let sent = events.iter().find_map(|event| match event {
                    Event::Send { tag: other, chat, body, .. } if other == tag => {
                        Some((chat, body))
                    }
                    _ => None,
                });
                events.iter().any(|event| match event {
                    Event::Received { chat, seq: other, body: Some(body), .. } => {
                        *other == seq + 1 && sent.is_some_and(|(to, own)| to == chat && own != body)
                    }
                    _ => false,
                })
            });
            acks
        },
        apply: |events, at, _| *seq_mut(&mut events[at]) += 1,
    },
    Mutation {
        name: "a message stored twice",
        breaks: &[Promise::Once],
        sites: |deliveries, events| {
            let by_client = |event: &Event| match event {
                Event::Received { id: Some(id), .. } => id.starts_with("0193"),
                _ => false,
            };
            let mut all = deliveries.all(|one| one.complete);
            all.retain(|at| by_client(&events[*at]));
            all
        },
        apply: |events, at, _| {
            let mut copy = events[at].clone();
            *seq_mut(&mut copy) += FAR;
            events.insert(at + 1, copy);
        },
    },
    Mutation {
        name: "a receipt raised",
        breaks: &[Promise::Receipts],
        sites: |_, events| sites(events, |event| matches!(event, Event::Receipt { .. })),
        apply: |events, at, _| {
            if let Event::Receipt { delivered, .. } = &mut events[at] {
                *delivered += FAR;
            }
        },
    },
    Mutation {
        name: "a read receipt raised",
        breaks: &[Promise::Receipts],
        sites: |_, events| sites(events, |event| matches!(event, Event::Receipt { .. })),
        apply: |events, at, _| {
            if let Event::Receipt { read, .. } = &mut events[at] {
                *read += FAR;
            }
        },
    },
    Mutation {
        name: "a receipt that falls",
        breaks: &[Promise::Receipts],
        sites: |_, events| {
            sites(events, |event| matches!(event, Event::Receipt { delivered: 1.., .. }))
        },
        apply: |events, at, _| {
            let mut fallen = events[at].clone();
            if let Event::Receipt { delivered, read, .. } = &mut fallen {
                *delivered -= 1;
                *read = (*read).min(*delivered);
            }
            events.insert(at + 1, fallen);
        },
    },
    Mutation {
        name: "a reader who is no member",
        breaks: &[Promise::Private],
        sites: |_, events| {
            sites(events, |event| {
                match event {
                Event::Member { chat, user } => events.iter().any(|other| {
                    matches!(other, Event::Received { user: reader, chat: of, .. } if reader == user && of == chat)
                }),
                _ => false,
            }
            })
        },
        apply: |events, at, _| drop(events.remove(at)),
    },
    Mutation {
        name: "an answer to a stranger",
        breaks: &[Promise::Private],
        sites: |_, events| {
            let mut refusals = sites(events, |event| matches!(event, Event::Refused { .. }));
            // Over 3.1.1 a refusal is acknowledged too.
            refusals.retain(|at| !matches!(events[at - 1], Event::Acked { .. }));
            refusals
        },
        apply: |events, at, _| {
            if let Event::Refused { user, device, tag, .. } = events[at].clone() {
                events[at] = Event::Acked { user, device, tag, seq: None, duplicate: None };
            }
        },
    },
];

/// At some places nothing shows: how often these are caught is measured. (Mutation, percent at least.)
pub(crate) const LIKELY: &[(Mutation, usize)] = &[
    (
        Mutation {
            name: "any delivery dropped",
            breaks: &[Promise::Ordered, Promise::Kept],
            sites: |deliveries, _| deliveries.all(|one| one.complete),
            apply: |events, at, _| drop(events.remove(at)),
        },
        80,
    ),
    (
        Mutation {
            name: "any message lost to all",
            breaks: &[Promise::Sent, Promise::Ordered, Promise::Kept],
            sites: |_, events| {
                sites(events, |event| matches!(event, Event::Acked { seq: Some(_), .. }))
            },
            apply: |events, at, _| {
                let Event::Acked { tag, .. } = &events[at] else {
                    return;
                };
                let body_of = |event: &Event| match event {
                    Event::Send { tag: other, body, .. } if other == tag => Some(body.clone()),
                    _ => None,
                };
                let lost = events.iter().find_map(body_of);
                events.retain(
                    |event| !matches!(event, Event::Received { body, .. } if *body == lost),
                );
            },
        },
        95,
    ),
    (
        Mutation {
            name: "any delivery with the next seq",
            breaks: &[Promise::Ordered, Promise::Sent, Promise::Once, Promise::Kept],
            sites: |deliveries, _| deliveries.all(|_| true),
            apply: |events, at, _| *seq_mut(&mut events[at]) += 1,
        },
        95,
    ),
    (
        Mutation {
            name: "any receipt raised by one",
            breaks: &[Promise::Receipts],
            sites: |_, events| sites(events, |event| matches!(event, Event::Receipt { .. })),
            apply: |events, at, _| {
                if let Event::Receipt { delivered, .. } = &mut events[at] {
                    *delivered += 1;
                }
            },
        },
        90,
    ),
    (
        Mutation {
            name: "any receipt dropped",
            breaks: &[Promise::Receipts],
            sites: |_, events| sites(events, |event| matches!(event, Event::Receipt { .. })),
            apply: |events, at, _| drop(events.remove(at)),
        },
        80,
    ),
    (
        Mutation {
            name: "any duplicate flag turned",
            breaks: &[Promise::Once],
            sites: |_, events| {
                sites(events, |event| matches!(event, Event::Acked { duplicate: Some(_), .. }))
            },
            apply: |events, at, _| {
                if let Event::Acked { duplicate: Some(duplicate), .. } = &mut events[at] {
                    *duplicate = !*duplicate;
                }
            },
        },
        85,
    ),
];
