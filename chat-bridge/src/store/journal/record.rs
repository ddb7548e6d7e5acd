//! A record of the journal: one batch, as bytes.
//!
//! | bytes | |
//! |---|---|
//! | 8 | the journal's id: random, so that bytes which a client has sent cannot pass for a record |
//! | 8 | the record's number: one more than that of the record before |
//! | 4 | how many writes |
//! | 8 | bytes that follow this header |
//! | 8 | XXH3-64 of all but itself |
//! | 9 each | per write: table (1), length of the key (4), of the value (4; all ones: a removal) |
//! | | keys and values, in the order of the writes |
//!
//! Numbers are big-endian.

use xxhash_rust::xxh3::Xxh3;

use crate::store::kv::{KvBatch, StoreError, Table};

/// What stands before the table of writes.
pub(super) const HEADER_BYTES: usize = 36;

/// Where the checksum stands in it: the last of its fields.
const CHECKSUM_AT: usize = 28;

/// A row of the table of writes.
const ROW_BYTES: usize = 9;

/// In the place of a value's length.
const REMOVED: u32 = u32::MAX;

/// A write of a record: table, key, and the value or `None` for a removal.
pub(in crate::store) type Write<'a> = (Table, &'a [u8], Option<&'a [u8]>);

/// What a batch takes as a record, bytes.
pub(super) fn record_bytes(batch: &KvBatch) -> u64 {
    (HEADER_BYTES + batch.len() * ROW_BYTES + batch.bytes()) as u64
}

/// Puts into `head` what of the record stands before the bytes of its keys and values, which are
/// [`KvBatch::payload`]: those are written from where they lie.
///
/// # Errors
/// A key or value, or their number, is beyond 4 GiB.
pub(super) fn encode_head(
    id: u64,
    number: u64,
    batch: &KvBatch,
    head: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let too_long = |_| StoreError::Io("a batch is too large for the journal".to_owned());
    let length = record_bytes(batch) - HEADER_BYTES as u64;
    head.clear();
    head.extend_from_slice(&id.to_be_bytes());
    head.extend_from_slice(&number.to_be_bytes());
    head.extend_from_slice(&u32::try_from(batch.len()).map_err(too_long)?.to_be_bytes());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[0; 8]);
    for (table, key, value) in batch.iter() {
        let value_bytes = match value {
            Some(value) => u32::try_from(value.len()).map_err(too_long)?,
            None => REMOVED,
        };
        if value.is_some() && value_bytes == REMOVED {
            return Err(StoreError::Io("a value is too large for the journal".to_owned()));
        }
        head.push(code(table));
        head.extend_from_slice(&u32::try_from(key.len()).map_err(too_long)?.to_be_bytes());
        head.extend_from_slice(&value_bytes.to_be_bytes());
    }
    let (header, rows) = head.split_at(HEADER_BYTES);
    let checksum = checksum(&header[..CHECKSUM_AT], &[rows, batch.payload()]);
    head[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// The header of a record. That it reads as one says nothing of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    /// Bytes that follow it.
    pub(super) length: u64,
    writes: u32,
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// `None`: no record of this journal begins here.
    pub(super) fn decode(bytes: [u8; HEADER_BYTES], id: u64) -> Option<Self> {
        let mut rest = &bytes[..];
        (take_u64(&mut rest)? == id).then_some(())?;
        let number = take_u64(&mut rest)?;
        let writes = take_u32(&mut rest)?;
        let length = take_u64(&mut rest)?;
        Some(Self { number, length, writes, bytes })
    }

    /// Whether what follows is what was written behind this header.
    pub(super) fn fits(&self, rest: &[u8]) -> bool {
        let (fields, sum) = self.bytes.split_at(CHECKSUM_AT);
        rest.len() as u64 == self.length && checksum(fields, &[rest]).to_be_bytes() == *sum
    }

    /// The writes of a record whose bytes [fit](Self::fits).
    ///
    /// # Errors
    /// They were written as they stand and make no sense: by another version, or by a mistake.
    pub(super) fn writes<'a>(&self, rest: &'a [u8]) -> Result<Vec<Write<'a>>, StoreError> {
        self.read_writes(rest).ok_or(StoreError::Corrupt("a record of the journal makes no sense"))
    }

    fn read_writes<'a>(&self, rest: &'a [u8]) -> Option<Vec<Write<'a>>> {
        let row_bytes = (self.writes as usize).checked_mul(ROW_BYTES)?;
        let (mut rows, mut payload) = rest.split_at_checked(row_bytes)?;
        let mut writes = Vec::with_capacity(self.writes as usize);
        while let Some((table, left)) = rows.split_first() {
            rows = left;
            let (key_bytes, value_bytes) = (take_u32(&mut rows)?, take_u32(&mut rows)?);
            let key = take(&mut payload, key_bytes)?;
            let value = match value_bytes {
                REMOVED => None,
                bytes => Some(take(&mut payload, bytes)?),
            };
            writes.push((table_of(*table)?, key, value));
        }
        payload.is_empty().then_some(writes)
    }
}

fn checksum(fields: &[u8], rest: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(fields);
    for bytes in rest {
        hash.update(bytes);
    }
    hash.digest()
}

/// What a table is called on the disk: never given to another one.
const fn code(table: Table) -> u8 {
    match table {
        Table::State => 0,
        Table::Log => 1,
        Table::Ids => 2,
        Table::Plain => 3,
    }
}

fn table_of(wanted: u8) -> Option<Table> {
    Table::ALL.into_iter().find(|table| code(*table) == wanted)
}

fn take<'a>(bytes: &mut &'a [u8], count: u32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count as usize)?;
    *bytes = rest;
    Some(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*taken))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u64 = 0x0123_4567_89AB_CDEF;

    fn batch() -> KvBatch {
        let mut batch = KvBatch::default();
        batch.put(Table::Log, b"key", |out| out.extend_from_slice(b"value"));
        batch.delete(Table::State, b"gone");
        batch.put(Table::Ids, b"", |_| ());
        batch.put(Table::Plain, b"k", |out| out.extend_from_slice(&[7; 300]));
        batch
    }

    fn encoded(batch: &KvBatch) -> Vec<u8> {
        let mut head = Vec::new();
        encode_head(ID, 9, batch, &mut head).expect("small");
        [&head, batch.payload()].concat()
    }

    fn decoded(bytes: &[u8]) -> Option<(Header, &[u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        let header = Header::decode(*header, ID)?;
        header.fits(rest).then_some((header, rest))
    }

    #[test]
    fn a_batch_comes_back() {
        for batch in [batch(), KvBatch::default()] {
            let bytes = encoded(&batch);
            assert_eq!(bytes.len() as u64, record_bytes(&batch));
            let (header, rest) = decoded(&bytes).expect("whole");
            assert_eq!(header.number, 9);
            let writes = header.writes(rest).expect("as written");
            assert!(writes.into_iter().eq(batch.iter()));
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_record() {
        let whole = encoded(&batch());
        for bytes in 0..whole.len() {
            assert!(decoded(&whole[..bytes]).is_none(), "cut at {bytes}");
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[bytes] ^= 1 << bit;
                assert!(decoded(&changed).is_none(), "bit {bit} of byte {bytes}");
            }
        }
    }

    /// A checksum that is right does not make sense of anything.
    #[test]
    fn nonsense_with_a_right_checksum_is_told() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..10_000 {
            let rest: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..5)).collect();
            let writes = random.u32(..4);
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&ID.to_be_bytes());
            bytes.extend_from_slice(&1_u64.to_be_bytes());
            bytes.extend_from_slice(&writes.to_be_bytes());
            bytes.extend_from_slice(&(rest.len() as u64).to_be_bytes());
            bytes.extend_from_slice(&checksum(&bytes.clone(), &[&rest]).to_be_bytes());
            let header = bytes.first_chunk().and_then(|bytes| Header::decode(*bytes, ID));
            let header = header.expect("a header");
            assert!(header.fits(&rest));
            // Whatever it is: no panic, and as many writes as were announced.
            if let Ok(read) = header.writes(&rest) {
                assert_eq!(read.len(), writes as usize);
            }
        }
    }
}
