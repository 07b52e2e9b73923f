//! The chain of versions in the store: load, commit, prune.

use super::codec::Version;
use super::{Action, Manifest};
use crate::error::{Error, Result};
use crate::store::Store;

const FOLDER: &str = "manifest";
/// Every so many versions a snapshot.
const SNAPSHOT_EVERY: u64 = 32;
/// Versions kept behind the newest, for readers who are just loading.
const KEPT: u64 = 2 * SNAPSHOT_EVERY;
/// Times a load or a commit is tried anew when others write.
const TRIES: usize = 16;

/// The chain of versions.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    store: Store,
}

impl Log {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The newest state; version 0 if nothing was ever committed.
    pub(crate) fn load(&self) -> Result<Manifest> {
        let mut last = Error::Invalid("the manifest cannot be loaded".into());
        for _ in 0..TRIES {
            match self.load_once() {
                // Pruned meanwhile: there are newer ones.
                Err(error @ Error::Missing(_)) => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    fn load_once(&self) -> Result<Manifest> {
        let Some(newest) = self.versions()?.into_iter().max() else { return Ok(Manifest::default()) };
        let mut chain = Vec::new();
        for number in (1..=newest).rev() {
            let version = self.read(number)?;
            let is_snapshot = version.header.snapshot;
            chain.push(version);
            if is_snapshot {
                break;
            }
        }
        let mut manifest = Manifest::default();
        for version in chain.into_iter().rev() {
            let number = version.header.version;
            for action in version.actions {
                if !manifest.apply(action) {
                    return Err(Error::damaged(path(number), "it does not fit the version before it"));
                }
            }
            manifest.version = number;
            manifest.next_file = manifest.next_file.max(version.header.next_file);
        }
        Ok(manifest)
    }

    fn read(&self, number: u64) -> Result<Version> {
        let path = path(number);
        let bytes = self.store.get(&path)?;
        let version = Version::decode(&bytes).map_err(|reason| Error::damaged(&path, reason))?;
        if version.header.version != number {
            return Err(Error::damaged(path, format!("it is version {}", version.header.version)));
        }
        Ok(version)
    }

    fn versions(&self) -> Result<Vec<u64>> {
        let number = |path: &str| path.rsplit('/').next()?.strip_suffix(".zst")?.parse().ok();
        Ok(self.store.list(FOLDER)?.iter().filter_map(|found| number(&found.path)).collect())
    }

    /// Commits changes on top of `known`, or of what others committed since if the changes fit
    /// that too. The new state is durable when this returns. Numbers of added files are given
    /// here, and put into `actions`.
    pub(crate) fn commit(&self, known: &Manifest, mut actions: Vec<Action>) -> Result<Manifest> {
        let mut base = known.clone();
        for _ in 0..TRIES {
            if let Some(next) = self.commit_on(&base, &mut actions)? {
                return Ok(next);
            }
            base = self.load()?;
        }
        Err(Error::Busy)
    }

    /// Commits changes that were worked out from the newest state, by which they may only be
    /// applied to that. `change` is asked again for each state that others made meanwhile; no
    /// action is nothing to do.
    pub(crate) fn commit_worked_out(
        &self,
        known: &Manifest,
        change: &mut dyn FnMut(&Manifest) -> Vec<Action>,
    ) -> Result<Manifest> {
        let mut base = known.clone();
        for _ in 0..TRIES {
            let mut actions = change(&base);
            if actions.is_empty() {
                return Ok(base);
            }
            if let Some(next) = self.commit_on(&base, &mut actions)? {
                return Ok(next);
            }
            base = self.load()?;
        }
        Err(Error::Busy)
    }

    /// The version after `base`; `None` if others made it.
    fn commit_on(&self, base: &Manifest, actions: &mut [Action]) -> Result<Option<Manifest>> {
        let next = prepare(base, actions)?;
        let snapshot = next.version % SNAPSHOT_EVERY == 0 || next.version == 1;
        let written = if snapshot { next.actions() } else { actions.to_vec() };
        let version = Version::new(next.version, snapshot, next.next_file, written);
        let bytes = version.encode().map_err(Error::Invalid)?;
        // A writer whose knowledge is so old that newer versions were pruned must not create
        // one of those again.
        let newest = self.versions()?.into_iter().max().unwrap_or(0);
        if newest != base.version || !self.store.create(&path(next.version), bytes)? {
            return Ok(None);
        }
        if snapshot {
            self.prune(next.version);
        }
        Ok(Some(next))
    }

    /// Deletes versions that nobody needs. What cannot be deleted now is next time.
    fn prune(&self, newest: u64) {
        let limit = newest.saturating_sub(KEPT);
        for number in self.versions().unwrap_or_default() {
            if number < limit {
                let _ = self.store.delete(&path(number));
            }
        }
    }
}

/// The state after the changes. Added files get their numbers, runs those of their files.
fn prepare(base: &Manifest, actions: &mut [Action]) -> Result<Manifest> {
    let mut next = base.clone();
    next.version += 1;
    let first = actions.iter().filter_map(|action| match action {
        Action::Add(file) => Some(file.number.0),
        _ => None,
    });
    // All numbers move by the same amount, so that runs still speak of the same files.
    let shift = first.min().map_or(0, |first| base.next_file.saturating_sub(first));
    let from = base.next_file.saturating_sub(shift);
    for action in actions.iter_mut() {
        match action {
            Action::Add(file) => file.number.0 += shift,
            Action::AddRun(run) => {
                run.files.iter_mut().filter(|file| file.0 >= from).for_each(|file| file.0 += shift);
            }
            _ => {}
        }
    }
    for action in actions.iter() {
        if !next.apply(action.clone()) {
            return Err(Error::Conflict("files that this was about are gone".into()));
        }
    }
    Ok(next)
}

fn path(number: u64) -> String {
    format!("{FOLDER}/{number:020}.zst")
}
