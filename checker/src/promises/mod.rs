//! The checks, one module a promise (and presence), and the walk through the history that they share.

mod kept;
mod once;
mod ordered;
mod presence;
mod private;
mod receipts;
mod sent;

use crate::index::Index;
use crate::world::World;
use crate::{Event, History, Promise, Violation};

/// Names every broken promise, by the event that shows it.
///
/// Cost: about linear in the events; at each [`Event::Settled`] also in messages, members and devices.
/// A broken history may name one fault under more than one promise, and faults that follow from it.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let index = Index::build(history);
    let mut world = World::new(&index);
    let mut checks: [Box<dyn Check<'_> + '_>; 7] = [
        Box::new(sent::Sent::default()),
        Box::new(once::Once::default()),
        Box::new(ordered::Ordered),
        Box::new(kept::Kept::default()),
        Box::new(receipts::Receipts::default()),
        Box::new(private::Private::default()),
        Box::new(presence::Presence::default()),
    ];
    let mut found = Vec::new();
    for (at, event) in history.events().iter().enumerate() {
        let moment = Moment { at, index: &index, world: &world };
        for check in &mut checks {
            check.observe(moment, event, &mut found);
        }
        world.apply(at, event, &index);
    }
    found
}

/// Where the walk is: the event's index, and the world before the event.
#[derive(Clone, Copy)]
struct Moment<'a, 'h> {
    at: usize,
    index: &'a Index<'h>,
    world: &'a World<'h>,
}

impl Moment<'_, '_> {
    fn broken(&self, promise: Promise, what: String) -> Violation {
        Violation { promise, at: self.at, what }
    }
}

/// The check of one promise, or of part of some.
trait Check<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>);
}

/// Characters of a body that a violation quotes.
const QUOTE_CHARS_MAX: usize = 40;

/// A body as a violation quotes it.
fn quote(body: Option<&str>) -> String {
    let Some(body) = body else {
        return "no body".into();
    };
    match body.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", body.get(..end).unwrap_or_default()),
        None => format!("{body:?}"),
    }
}
