//! Dead letters in a file of the state folder, for pipelines that name no sink for them. The file holds the letters of each epoch once: what an earlier, torn delivery
//! of the same epoch has left at its end is cut off first.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use super::Token;

/// The file's name.
pub const FILE_NAME: &str = "dead-letters.jsonl";

/// Appends dead letters to a file.
#[derive(Debug)]
pub struct LetterFile {
    path: PathBuf,
}

/// The part of a letter that tells which epoch it belongs to.
#[derive(Deserialize)]
struct Stamp {
    epoch: u64,
}

impl LetterFile {
    /// The file of a state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE_NAME) }
    }

    /// Appends the letters of an epoch, one JSON object a line, and makes them durable. May be repeated.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn deliver(&self, token: &Token, letters: &[u8]) -> anyhow::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        self.append(token.epoch, letters).with_context(|| format!("append dead letters to `{}`", self.path.display()))
    }

    fn append(&self, epoch: u64, letters: &[u8]) -> anyhow::Result<()> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let keep = before_epoch(&mut file, end, epoch)?;
        file.set_len(keep)?;
        file.seek(SeekFrom::Start(keep))?;
        file.write_all(letters)?;
        file.sync_data()?;
        Ok(())
    }
}

/// Where the lines of `epoch` begin at the end of the file; a torn last line does not count.
fn before_epoch(file: &mut File, end: u64, epoch: u64) -> anyhow::Result<u64> {
    // NOTE: the tail is read in growing steps, because letters may be large and the file may be larger.
    let mut window: u64 = 64 << 10;
    loop {
        let from = end.saturating_sub(window);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(end - from).read_to_end(&mut tail)?;
        let whole_lines = from == 0;
        let mut keep = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        while let Some(lines) = tail.get(..keep.saturating_sub(1)).filter(|_| keep > 0) {
            let Some(start) = lines.iter().rposition(|byte| *byte == b'\n').map(|last| last + 1).or(whole_lines.then_some(0)) else { break };
            let line = lines.get(start..).unwrap_or_default();
            if serde_json::from_slice::<Stamp>(line).is_ok_and(|stamp| stamp.epoch < epoch) {
                return Ok(from + keep as u64);
            }
            keep = start;
        }
        if whole_lines {
            return Ok(keep as u64);
        }
        window *= 4;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn token(epoch: u64) -> Token {
        Token { pipeline: "p".into(), lineage: "l".into(), epoch, part: 0 }
    }

    fn letters(epoch: u64, count: usize) -> String {
        (0..count).map(|i| format!("{{\"epoch\":{epoch},\"n\":{i}}}\n")).collect()
    }

    #[test]
    fn a_delivery_that_is_repeated_after_a_torn_one_leaves_every_letter_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = LetterFile::new(folder.path());
        file.deliver(&token(1), letters(1, 3).as_bytes()).unwrap();
        file.deliver(&token(4), letters(4, 9_000).as_bytes()).unwrap();
        let path = folder.path().join(FILE_NAME);
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 7).unwrap();
        file.deliver(&token(4), letters(4, 9_000).as_bytes()).unwrap();
        file.deliver(&token(5), letters(5, 1).as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), letters(1, 3) + &letters(4, 9_000) + &letters(5, 1));
    }

    #[test]
    fn nothing_to_deliver_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        LetterFile::new(folder.path()).deliver(&token(1), b"").unwrap();
        assert!(!folder.path().join(FILE_NAME).exists());
    }
}
