//! What a process is told that is not so, when a rule is left out.

use weir::epoch::commit::{Attempt, Checksum, Identity, Marker};
use weir::epoch::recovery::{Facts, Prepared};

use super::Turn;
use crate::commit_model::setup::Rule;

impl Turn<'_> {
    pub(super) fn lie_about(&self, mut facts: Facts) -> Facts {
        let Some(rule) = self.setup.without else { return facts };
        let disk = &self.world.disks[self.folder];
        match rule {
            Rule::MarkerEquality => {
                facts.marker = match facts.folder.prepared {
                    Prepared::Valid { identity, .. } => Some(Marker::Epoch(identity)),
                    _ => facts.folder.committed.or(facts.marker),
                };
            }
            Rule::AskWhenUnknown if self.world.processes[self.slot].as_ref().is_some_and(|process| process.taken_for_aborted) => {
                facts.marker = facts.folder.committed;
            }
            Rule::RecordChecksum => {
                if let Some(record) = disk.prepared {
                    facts.folder.prepared = Prepared::Valid { identity: record.identity, base: record.base };
                }
            }
            Rule::AttemptAndChecksum => mask(&mut facts),
            Rule::UntouchedSinks => facts.sinks_untouched = true,
            Rule::Base => {
                if let (Prepared::Valid { base, .. }, Some(committed)) = (&mut facts.folder.prepared, facts.folder.committed) {
                    *base = committed;
                }
            }
            Rule::ForwardedNeedsRecord => {
                if let Some(Marker::Epoch(committed)) = facts.folder.committed
                    && !matches!(facts.folder.prepared, Prepared::Valid { identity, .. } if identity == committed)
                {
                    facts.folder.forwarded = Some(committed);
                }
            }
            Rule::ForwardedMark => facts.folder.forwarded = None,
            _ => {}
        }
        facts
    }
}

/// Identities without attempt and checksum.
fn mask(facts: &mut Facts) {
    let blank = |identity: &mut Identity| (identity.attempt, identity.checksum) = (Attempt(0), Checksum(0));
    let in_marker = |marker: &mut Marker| {
        if let Marker::Epoch(identity) = marker {
            blank(identity);
        }
    };
    facts.marker.iter_mut().chain(&mut facts.folder.committed).for_each(in_marker);
    facts.folder.forwarded.iter_mut().for_each(blank);
    if let Prepared::Valid { identity, base } = &mut facts.folder.prepared {
        blank(identity);
        in_marker(base);
    }
}
