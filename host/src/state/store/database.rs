//! How the database is set up. It is a place to recover from: hot groups have a cache of their own, so it gets little memory. The bounds below add up to 40 MB
//! whatever the pipeline does; with what RocksDB spends beside them a process was measured to be 60 MB larger for it.

use std::path::Path;

use anyhow::Context;
use rocksdb::{BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DEFAULT_COLUMN_FAMILY_NAME, LogLevel, Options};

/// One column family's write buffer. Smaller: a group that changes in every epoch is written to files again and again, instead of being overwritten here;
/// larger: the total below is reached by one step alone.
const WRITE_BUFFER_BYTES: usize = 8 << 20;

/// All write buffers together: three full ones, so that a step and the records of the commit protocol are written while one is flushed.
const ALL_WRITE_BUFFERS_BYTES: usize = 24 << 20;

/// Blocks of files, their indexes and filters included. Larger helps only groups that are read often and yet are not in the cache of hot groups.
const BLOCK_CACHE_BYTES: usize = 16 << 20;

/// Logs beyond this make the oldest write buffer be flushed. It bounds what a start has to read again: about a second.
const ALL_LOGS_BYTES: u64 = 64 << 20;

/// Open files; each keeps a few KB. A database of 100 GB has about 1,500.
const OPEN_FILES: i32 = 512;

/// Of the bits of a Bloom filter, for each key: 1 % of the lookups of new groups then read a block for nothing.
const FILTER_BITS: f64 = 10.0;

/// A write buffer with so many closed windows (a range in each shard) is flushed: every lookup goes through its ranges, and sorts them again after each
/// closing.
const RANGES_IN_WRITE_BUFFER: &str = "2000";

/// The name of a step's column family: with something in front, so that no step can be called `default`.
pub(super) fn family(step: &str) -> String {
    format!("step.{step}")
}

/// Opens or makes the database, with a column family for each step, and for each that it had before.
pub(super) fn open(path: &Path, steps: &[&str]) -> anyhow::Result<DB> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let mut families = families(path)?;
    families.extend(steps.iter().map(|step| family(step)));
    families.push(DEFAULT_COLUMN_FAMILY_NAME.to_owned());
    families.sort_unstable();
    families.dedup();
    let descriptors = families.iter().map(|family| ColumnFamilyDescriptor::new(family, family_options(&cache)));
    let db = DB::open_cf_descriptors(&database_options(), path, descriptors)?;
    for family in &families {
        if let Some(handle) = db.cf_handle(family) {
            db.set_options_cf(handle, &[("memtable_max_range_deletions", RANGES_IN_WRITE_BUFFER)])
                .with_context(|| format!("bound the ranges of `{family}`"))?;
        }
    }
    Ok(db)
}

fn families(path: &Path) -> anyhow::Result<Vec<String>> {
    // RocksDB writes `CURRENT` last when it makes a database.
    if !path.join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    DB::list_cf(&Options::default(), path).context("list the steps in the database")
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(ALL_WRITE_BUFFERS_BYTES);
    options.set_max_total_wal_size(ALL_LOGS_BYTES);
    options.set_max_open_files(OPEN_FILES);
    // A flush and a compaction side by side; more would take cores from the pipeline.
    options.set_max_background_jobs(2);
    // RocksDB's own log: what it says of importance, in two files at most.
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Indexes and filters count as blocks: otherwise their memory would grow with the state.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(FILTER_BITS, false);
    // In pieces: the filter of a whole file is larger than a shard of the cache, so that every lookup would read it from the file again.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    // New groups of a window that is stored are looked up in vain; a filter spares them the skip list.
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(0.05);
    options
}
