//! Which columns of fields there are, from the files' schemas alone.

use std::collections::BTreeMap;

use super::file::DataFile;
use super::scan::Scan;
use crate::archive::Archive;

impl Archive {
    /// Names of the columns of fields in the files that the pass would open, sorted without regard
    /// to case; of spellings that differ in case alone, the first. A file that cannot be read has
    /// none: the pass says so.
    #[must_use]
    pub fn columns(&self, scan: &Scan<'_>) -> Vec<String> {
        let mut names = BTreeMap::new();
        let files = self.manifest().files.values().filter(|file| scan.groups_of(file) != 0);
        for data in files.filter_map(|file| DataFile::open(self.store(), file).ok()) {
            for name in data.names() {
                names.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_owned());
            }
        }
        names.into_values().collect()
    }
}
