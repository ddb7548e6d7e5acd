//! `bluetick compact`: rewrites the database of a stopped server.

use bluetick_bridge::store::{Kv as _, RocksKv, StoreError, Table};

use crate::Failure;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::output;

pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    let data_dir = DataDir::take_existing(&config.data_dir)?;
    let kv = RocksKv::open(&data_dir.database(), config.store.clone()).map_err(failure)?;
    for table in Table::ALL {
        let before = file_bytes(&kv, table)?;
        kv.compact(table).map_err(failure)?;
        let after = file_bytes(&kv, table)?;
        let name = table.name();
        output::line(format_args!("{name:<6}{:>10} KiB -> {:>10} KiB", before >> 10, after >> 10))?;
    }
    Ok(())
}

/// What the files of a table take, with what is not in a file of it yet.
fn file_bytes(kv: &RocksKv, table: Table) -> Result<u64, Failure> {
    let figures = kv.figures().map_err(failure)?.unwrap_or_default();
    let mut tables = figures.tables.iter().filter(|figures| figures.table == table);
    Ok(tables.next().map_or(0, |figures| figures.file_bytes + figures.write_buffer_bytes))
}

fn failure(error: StoreError) -> Failure {
    Failure::Other(format!("cannot compact the store: {error}"))
}
