//! Whether broken promises would be noticed: the simulation with a server that has a mistake in it,
//! one test a mistake. The checker must name the promise that it breaks, within a few seeds; with
//! the same seeds the server without the mistake breaks none.

mod support;

use std::ops::Range;

use bluetick_checker::{Promise, check};
use support::sabotage::Sabotage;
use support::wire::Wire;
use support::world::simulate;

/// Fixed, so that a change of the checker is what decides whether these pass. A mistake that needs a
/// crash at the right time takes a few.
const SEEDS: Range<u64> = 0..20;

/// For a mistake that shows only where the last of something is lost on the way.
const MANY_SEEDS: Range<u64> = 0..80;

#[test]
fn the_server_without_a_mistake_is_not_blamed() {
    for wire in [Wire::Instant, Wire::Bad] {
        let (mut crashes, mut failures) = (0, 0);
        for seed in SEEDS {
            let outcome = simulate(seed, wire, None);
            assert_eq!(check(&outcome.history).first(), None, "seed {seed}, {wire:?} wire");
            crashes += outcome.crashes;
            failures += outcome.failures;
        }
        assert!(crashes > 0 && failures > 0, "most mistakes need a crash or a failed commit");
    }
}

/// Runs the seeds, as the simulation does, until the promise is named.
fn breaks(sabotage: Sabotage, promise: Promise) {
    breaks_over(Wire::Instant, SEEDS, sabotage, promise);
}

fn breaks_over(wire: Wire, seeds: Range<u64>, sabotage: Sabotage, promise: Promise) {
    for seed in seeds.clone() {
        let found = check(&simulate(seed, wire, Some(sabotage)).history);
        if let Some(violation) = found.iter().find(|violation| violation.promise == promise) {
            println!("{sabotage:?}, seed {seed}: {violation}");
            return;
        }
    }
    panic!("{sabotage:?} goes unnoticed: {promise:?} is kept in seeds {seeds:?}");
}

#[test]
fn an_acknowledgement_before_the_sync_is_noticed() {
    breaks(Sabotage::AcknowledgesBeforeSync, Promise::Sent);
}

#[test]
fn a_failed_commit_that_is_swallowed_is_noticed() {
    breaks(Sabotage::SwallowsFailedCommits, Promise::Sent);
}

#[test]
fn an_index_of_ids_that_forgets_is_noticed() {
    breaks(Sabotage::ForgetsIds, Promise::Once);
}

#[test]
fn a_retransmission_that_is_overlooked_is_noticed() {
    breaks(Sabotage::OverlooksDup, Promise::Once);
}

#[test]
fn neighbours_that_change_places_are_noticed() {
    breaks(Sabotage::SwapsNeighbours, Promise::Ordered);
}

#[test]
fn a_hole_without_a_word_is_noticed() {
    breaks(Sabotage::HidesHoles, Promise::Ordered);
}

#[test]
fn a_cursor_stored_ahead_of_its_acknowledgements_is_noticed() {
    breaks(Sabotage::StoresCursorsAhead, Promise::Kept);
}

#[test]
fn what_was_under_way_and_is_written_off_is_noticed() {
    breaks(Sabotage::WritesOffWhatWasUnderWay, Promise::Kept);
}

#[test]
fn a_redelivery_that_does_not_come_is_noticed() {
    breaks(Sabotage::ForgetsToRedeliver, Promise::Kept);
}

#[test]
fn a_session_that_ends_early_is_noticed() {
    breaks(Sabotage::EndsSessionsEarly, Promise::Kept);
}

#[test]
fn a_receipt_for_what_was_only_sent_is_noticed() {
    breaks(Sabotage::CountsSentAsDelivered, Promise::Receipts);
}

#[test]
fn a_receipt_that_is_told_only_once_is_noticed() {
    // Only a receipt that is lost on the way shows it, and only if none comes after it.
    breaks_over(Wire::Bad, MANY_SEEDS, Sabotage::CountsSentAsTold, Promise::Receipts);
}

#[test]
fn a_receipt_taken_for_another_members_is_noticed() {
    breaks(Sabotage::CoalescesReceipts, Promise::Receipts);
}

#[test]
fn a_watermark_that_falls_is_noticed() {
    breaks(Sabotage::KeepsWatermarksInMemory, Promise::Receipts);
}

#[test]
fn a_name_taken_from_an_address_is_noticed() {
    breaks(Sabotage::TrustsAddresses, Promise::Private);
}

#[test]
fn a_removal_that_is_forgotten_is_noticed() {
    breaks(Sabotage::ForgetsRemovals, Promise::Private);
}

#[test]
fn what_was_said_in_an_absence_and_is_given_is_noticed() {
    breaks(Sabotage::ForgetsAbsences, Promise::Private);
}

#[test]
fn a_member_who_joins_at_the_head_is_noticed() {
    breaks(Sabotage::JoinsAtHead, Promise::Kept);
}

#[test]
fn a_deleted_body_that_comes_is_noticed() {
    breaks(Sabotage::RemembersDeleted, Promise::Private);
}

#[test]
fn a_body_that_is_gone_is_noticed() {
    breaks(Sabotage::LosesBodies, Promise::Kept);
}

#[test]
fn a_block_that_is_forgotten_is_noticed() {
    breaks(Sabotage::ForgetsBlocks, Promise::Private);
}

#[test]
fn what_is_read_and_told_all_the_same_is_noticed() {
    breaks(Sabotage::IgnoresPrivacy, Promise::Receipts);
}

#[test]
fn a_refusal_that_tells_a_chat_from_none_is_noticed() {
    breaks(Sabotage::RefusesOtherwiseWhatExists, Promise::Private);
}

#[test]
fn one_who_goes_and_is_still_there_is_noticed() {
    breaks(Sabotage::OverlooksWhoGoes, Promise::Receipts);
}

#[test]
fn an_answer_that_is_forgotten_is_noticed() {
    breaks(Sabotage::ForgetsAnswers, Promise::Once);
}

#[test]
fn a_message_to_everybody_is_noticed() {
    breaks(Sabotage::Broadcasts, Promise::Private);
}
