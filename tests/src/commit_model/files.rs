//! The output folder of a file sink, which all copies of a state folder share: staged and final names, no manifest.

use weir::epoch::Epoch;
use weir::epoch::commit::{Action, Attempt, Identity, Lineage, Marker};

use super::world::{Names, Rows, World};

/// A file in the output folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct File {
    name: FileName,
    rows: Rows,
    /// Under its final name.
    published: bool,
}

/// What is in its temporary and in its final name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileName(Lineage, Epoch, Attempt);

impl World {
    pub(super) fn stage_file(&mut self, name: FileName, rows: Rows) {
        let same = self.files.iter().position(|file| file.is_some_and(|file| file.name == name && !file.published));
        let place = same.or_else(|| self.files.iter().position(Option::is_none));
        let place = place.unwrap_or_else(|| panic!("more files than a world has room for"));
        self.files[place] = Some(File { name, rows, published: false });
    }

    pub(super) fn delete_staged(&mut self, which: impl Fn(FileName) -> bool) {
        for file in &mut self.files {
            *file = file.filter(|file| file.published || !which(file.name));
        }
    }

    /// Renames the file, unless the final name is there.
    pub(super) fn publish(&mut self, name: FileName, rows: Rows) -> Option<&'static str> {
        let final_name = self.files.iter().flatten().any(|file| file.name == name && file.published);
        let staged = self.files.iter_mut().flatten().find(|file| file.name == name && !file.published);
        match staged {
            _ if final_name => None,
            None => Some("file: the staged file of a committed epoch is gone"),
            Some(file) => {
                file.published = true;
                (file.rows != rows).then_some("file: the staged file of a committed epoch holds other rows")
            }
        }
    }

    /// Files that nobody will ask for have no influence.
    pub(super) fn forget_files(&mut self) {
        if self.files == [None; 4] {
            return;
        }
        let on_disk = self.disks.iter().filter_map(|disk| disk.prepared.map(|record| FileName::of(&record.identity)));
        let in_memory = self.processes.iter().flatten().filter_map(|process| match process.protocol.action() {
            Action::DeleteStaged { discarded, .. } => Some(FileName::of(discarded)),
            action => match action.marker() {
                Some(Marker::Epoch(identity)) => Some(FileName::of(&identity)),
                _ => None,
            },
        });
        let named: Vec<FileName> = on_disk.chain(in_memory).collect();
        for file in &mut self.files {
            *file = file.filter(|file| named.contains(&file.name));
        }
        self.files.sort_by_key(Option::is_none);
    }
}

impl FileName {
    pub(super) const fn of(identity: &Identity) -> Self {
        Self(identity.lineage, identity.epoch, identity.attempt)
    }

    pub(super) fn has(self, lineage: Lineage) -> bool {
        self.0 == lineage
    }
}
