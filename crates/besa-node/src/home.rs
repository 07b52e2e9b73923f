//! The folder `alliance/` below the data folder: what a member's node needs besides the store.
//!
//! ```text
//! alliance/settings.json    who, how, where (see [`Settings`]); its owner's alone, it has tokens
//!          node.key         the key that signs; its owner's alone
//!          chain/           charters and key statements, each as it was verified
//!          decisions.jsonl  analysts' words about objects of allies
//!          pending/         answers that wait for an analyst
//!          journal.lock     held while an entry is signed
//! ```

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use besa_alliance::charter::{Charter, KeyStatement};
use besa_alliance::directory::Directory;
use besa_alliance::intake::{Assets, Decision};
use besa_alliance::keys::SecretKey;
use besa_alliance::signed::{Kind, id_of};

use crate::error::NodeError;
use crate::settings::Settings;

/// The folder.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The folder below a data folder.
    pub fn below(data: &Path) -> Self {
        Self { folder: data.join("alliance") }
    }

    /// Whether this data folder belongs to a member of an alliance.
    pub fn exists(&self) -> bool {
        self.file("settings.json").exists()
    }

    /// Makes the folder for a member; refuses to put it in the place of another.
    pub fn create(
        &self,
        settings: &Settings,
        node_key: &str,
        charters: &[Charter],
        statements: &[KeyStatement],
    ) -> Result<(), NodeError> {
        if self.exists() {
            return Err(NodeError::Input(format!("`{}` is there already", self.folder.display())));
        }
        for folder in ["chain", "pending"] {
            self.make(folder)?;
        }
        for charter in charters {
            self.keep(Kind::Charter, &id_of(Kind::Charter, &charter.digest), &charter.text())?;
        }
        for statement in statements {
            self.keep(Kind::Keys, &statement.id(), &statement.text())?;
        }
        self.write("node.key", node_key.as_bytes())?;
        self.save(settings)
    }

    fn make(&self, name: &str) -> Result<(), NodeError> {
        let path = self.folder.join(name);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| NodeError::File(path, error))
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The settings.
    pub fn settings(&self) -> Result<Settings, NodeError> {
        let path = self.file("settings.json");
        let bytes = fs::read(&path).map_err(|error| NodeError::File(path.clone(), error))?;
        serde_json::from_slice(&bytes).map_err(|error| NodeError::Content(path, error.to_string()))
    }

    /// Replaces the settings.
    pub fn save(&self, settings: &Settings) -> Result<(), NodeError> {
        let text = serde_json::to_string_pretty(settings)
            .map_err(|error| NodeError::Content(self.file("settings.json"), error.to_string()))?;
        self.write("settings.json", format!("{text}\n").as_bytes())
    }

    /// The key that signs.
    pub fn key(&self) -> Result<SecretKey, NodeError> {
        let path = self.file("node.key");
        let text = fs::read_to_string(&path).map_err(|error| NodeError::File(path.clone(), error))?;
        SecretKey::from_node_file(&text).map_err(|error| NodeError::Content(path, error.to_string()))
    }

    /// One's own assets and lists; the built-in lists if none are set.
    pub fn assets(&self, settings: &Settings) -> Result<Assets, NodeError> {
        let Some(path) = &settings.assets else { return Ok(Assets::default()) };
        let bytes = fs::read(path).map_err(|error| NodeError::File(path.clone(), error))?;
        Assets::read(&bytes).map_err(|error| NodeError::Content(path.clone(), error.to_string()))
    }

    /// How many charters and statements there are; changes when one is added.
    pub fn chain_len(&self) -> usize {
        fs::read_dir(self.file("chain")).map_or(0, |entries| entries.flatten().count())
    }

    /// The alliance as the files tell it, verified from the first charter on.
    pub fn directory(&self, settings: &Settings) -> Result<Directory, NodeError> {
        let folder = self.file("chain");
        let (mut charters, mut statements) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(&folder).map_err(|error| NodeError::File(folder.clone(), error))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| NodeError::File(path.clone(), error))?;
            let wrong = |error: &dyn std::fmt::Display| NodeError::Content(path.clone(), error.to_string());
            let is_charter = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(Kind::Charter.object_type()));
            if is_charter {
                charters.push(Charter::parse(&text).map_err(|error| wrong(&error))?);
            } else {
                statements.push(KeyStatement::parse(&text).map_err(|error| wrong(&error))?);
            }
        }
        Ok(Directory::of_chain(charters, statements, &settings.alliance)?)
    }

    /// Keeps a charter or key statement that was verified.
    pub fn keep(&self, kind: Kind, id: &str, text: &str) -> Result<(), NodeError> {
        debug_assert!(id.starts_with(kind.object_type()), "the file's name tells its kind");
        self.write(&format!("chain/{id}.json"), text.as_bytes())
    }

    /// What analysts have decided, oldest first.
    pub fn decisions(&self) -> Result<Vec<Decision>, NodeError> {
        let path = self.file("decisions.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(NodeError::File(path, error)),
        };
        let read = |line| serde_json::from_str(line).map_err(|error| error.to_string());
        let decisions: Result<_, _> = text.lines().filter(|line| !line.is_empty()).map(read).collect();
        decisions.map_err(|error| NodeError::Content(path, error))
    }

    /// Keeps an analyst's word.
    pub fn decide(&self, decision: &Decision) -> Result<(), NodeError> {
        let mut all = self.decisions()?;
        all.push(decision.clone());
        let lines: Result<Vec<String>, _> = all.iter().map(serde_json::to_string).collect();
        let lines =
            lines.map_err(|error| NodeError::Content(self.file("decisions.jsonl"), error.to_string()))?;
        self.write("decisions.jsonl", format!("{}\n", lines.join("\n")).as_bytes())
    }

    /// Writes a file whole, or not at all, for its owner alone.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.file(name);
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        let put = || {
            let mut file = tempfile::Builder::new().prefix(".besa-").tempfile_in(&folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            if cfg!(unix) { File::open(&folder)?.sync_all() } else { Ok(()) }
        };
        put().map_err(|error| NodeError::File(path.clone(), error))
    }
}
