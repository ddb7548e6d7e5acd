//! The contract of the store, as tests: one text of every rule, run over each implementation.
//!
//! A rule is a function that is given a [`Subject`]; the table below makes a test of it for each
//! store, `memory::…` and `rocks::…`. What holds for one of them only, or needs both, is a test of
//! its own in `faults`, `failing_disk`, `files`, `journal`, `differential` and `crash`.

mod crash;
mod differential;
mod failing_disk;
mod faults;
mod files;
mod journal;
mod kv_rules;
mod numbered;
mod process;
mod sample;
mod store_paging;
mod store_rules;

use std::path::Path;
use std::sync::Arc;

use bluetick_bridge::store::{Kv, MemoryKv, RocksKv, RocksOptions, Store};
use tempfile::TempDir;

/// What a rule is tested on.
trait Subject {
    /// As it is now.
    fn kv(&self) -> Arc<dyn Kv>;

    /// What a new process would find. Needs the only handle: all that [`Subject::kv`] gave are
    /// dropped by now.
    fn reopen(&mut self);

    /// A store over it, made for 4 partitions.
    fn store(&self) -> Store {
        Store::open(self.kv(), 4).expect("a store").0
    }
}

#[derive(Default)]
struct Memory(Arc<MemoryKv>);

impl Subject for Memory {
    fn kv(&self) -> Arc<dyn Kv> {
        self.0.clone()
    }

    fn reopen(&mut self) {
        assert_eq!(Arc::strong_count(&self.0), 1, "somebody still uses it");
    }
}

struct Rocks {
    /// `None` only while it is being opened again.
    kv: Option<Arc<RocksKv>>,
    dir: TempDir,
}

impl Default for Rocks {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = Some(Arc::new(open_rocks(dir.path())));
        Self { kv, dir }
    }
}

impl Subject for Rocks {
    fn kv(&self) -> Arc<dyn Kv> {
        self.kv.clone().expect("it is open")
    }

    fn reopen(&mut self) {
        let kv = self.kv.take().expect("it is open");
        assert!(Arc::into_inner(kv).is_some(), "somebody still uses it");
        self.kv = Some(Arc::new(open_rocks(self.dir.path())));
    }
}

/// Write buffers so small that files are written and merged while the tests run: a real server
/// does that all the time, a short test with buffers of a real size never.
fn small() -> RocksOptions {
    RocksOptions { write_buffer_bytes: 64 << 10, block_cache_bytes: 1 << 20, log_bytes: 256 << 10 }
}

fn open_rocks(path: &Path) -> RocksKv {
    RocksKv::open(path, small()).expect("the database opens")
}

macro_rules! rules {
    ($($module:ident: $($rule:ident),+;)+) => {
        mod memory {
            $($(#[test] fn $rule() { crate::$module::$rule(&mut crate::Memory::default()) })+)+
        }
        mod rocks {
            $($(#[test] fn $rule() { crate::$module::$rule(&mut crate::Rocks::default()) })+)+
        }
    };
}

rules! {
    kv_rules:
        what_is_not_there_is_none,
        what_is_read_once_is_the_same,
        writes_of_a_batch_apply_in_order,
        a_batch_spans_tables,
        an_empty_batch_changes_nothing,
        tables_are_name_spaces,
        a_scan_is_half_open_and_rising,
        a_scan_ends_when_told,
        an_empty_range_has_nothing,
        keys_and_values_are_any_bytes,
        large_values_come_back,
        many_keys_stay_in_order,
        what_is_committed_outlives_the_process,
        readers_never_see_half_a_batch,
        recovery_without_a_failure_changes_nothing;
    store_rules:
        a_new_store_keeps_its_partitions,
        another_schema_is_refused,
        a_damaged_schema_is_refused,
        damaged_records_are_told,
        counters_are_zero_and_then_as_written,
        a_chat_has_a_name_and_a_number,
        a_chat_whose_number_is_taken_has_another,
        every_field_of_a_chat_comes_back,
        every_field_of_an_entry_comes_back,
        an_id_is_of_a_chat_and_an_author,
        ids_in_order_are_found_from_a_few,
        needs_are_supplied,
        a_commit_tells_what_it_wrote,
        partitions_are_committed_together_and_kept_apart;
    store_paging:
        a_group_has_all_its_members,
        a_member_page_changes_alone,
        neighbours_do_not_mix_members,
        the_chats_of_a_user_rise,
        entries_are_paged_by_number,
        entries_are_paged_by_bytes,
        entries_end_where_told,
        sessions_come_and_go,
        sessions_are_paged,
        chats_are_paged;
}
