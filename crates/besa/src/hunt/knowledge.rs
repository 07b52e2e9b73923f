//! Rules and intelligence from the disk, compiled into a detector.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use besa_detect::intel::{Intel, Loaded, Place, Refusal};
use besa_detect::{Detector, Scope};
use besa_sigma::{Loader, Placeholders, RuleSet, limits};
use serde::Serialize;

use super::intel;
use crate::cli::{IntelArgs, RuleArgs};
use crate::pack;

/// Everything a hunt knows, and what it was refused.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) detector: Detector,
    /// Rules that were not loaded.
    pub(crate) refused: Vec<Refused>,
    /// Texts of the rule files by origin, if they were asked for.
    pub(crate) texts: RuleTexts,
}

/// Texts of rule files, by the origin that findings name.
pub(crate) type RuleTexts = BTreeMap<String, String>;

/// A rule that was not loaded.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refused {
    /// File and line; without a line where the file could not be read.
    pub(crate) place: String,
    pub(crate) title: Option<String>,
    pub(crate) id: Option<String>,
    /// A sort of reason, for counting.
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

/// Rules that were read but not compiled yet.
#[derive(Debug)]
pub(crate) struct LoadedRules {
    pub(crate) set: RuleSet,
    /// Files that could not be read.
    pub(crate) unreadable: Vec<Refused>,
    /// Files that were read.
    pub(crate) files: u64,
    pub(crate) texts: RuleTexts,
}

impl Knowledge {
    /// Loads and compiles what the arguments name.
    pub(crate) fn load(
        rules: &RuleArgs,
        intel: &IntelArgs,
        scope: Scope,
        keep_texts: bool,
    ) -> anyhow::Result<Self> {
        let mut taken = TakenIntel::default();
        intel::each_file(&intel.intel, &mut |origin, bytes| taken.file(origin, &bytes))?;
        if let Some(data) = &intel.allies {
            // Allies may have released nothing yet; that is no mistake of the user's.
            taken.load(&format!("allies of {data}"), &super::allies::InUse::open(data)?.now()?.list);
        }
        let mut reader = if intel.intel_only {
            RuleReader::new(&rules.placeholder, keep_texts)
        } else {
            RuleReader::open(rules, keep_texts)?
        };
        for sigma in std::mem::take(&mut taken.intel.sigma) {
            reader.add(&format!("{} ({})", sigma.origin, sigma.indicator), sigma.text.as_bytes());
        }
        Ok(Self::new(reader.finish(), taken, scope))
    }

    /// Looks for nothing.
    pub(crate) fn nothing() -> Self {
        let loaded = LoadedRules {
            set: RuleSet::default(),
            unreadable: Vec::new(),
            files: 0,
            texts: RuleTexts::new(),
        };
        Self::of_rules(loaded, Scope::default())
    }

    /// Compiles one text of intelligence alone, e.g. a bundle that an ally released. What cannot be
    /// compiled is among the refused.
    pub(crate) fn of_intel(origin: &str, bytes: &[u8], scope: Scope) -> Self {
        let mut taken = TakenIntel::default();
        taken.load(origin, bytes);
        let mut reader = RuleReader::new(&[], false);
        for sigma in std::mem::take(&mut taken.intel.sigma) {
            reader.add(&format!("{} ({})", sigma.origin, sigma.indicator), sigma.text.as_bytes());
        }
        Self::new(reader.finish(), taken, scope)
    }

    /// Compiles rules alone.
    pub(crate) fn of_rules(loaded: LoadedRules, scope: Scope) -> Self {
        Self::new(loaded, TakenIntel::default(), scope)
    }

    /// Compiles rules and intelligence; what cannot be compiled joins the refused.
    fn new(mut loaded: LoadedRules, taken: TakenIntel, scope: Scope) -> Self {
        let mut refused = loaded.unreadable;
        refused.extend(taken.refused);
        let parsed = std::mem::take(&mut loaded.set.refused);
        refused.extend(parsed.into_iter().map(|refusal| Refused {
            place: refusal.place.to_string(),
            title: refusal.title,
            id: refusal.id,
            kind: refusal.kind.as_str(),
            reason: refusal.reason,
        }));
        let (detector, not_compiled) = Detector::new(loaded.set, taken.intel, scope);
        refused.extend(not_compiled.intel.iter().map(of_intel));
        refused.extend(not_compiled.rules.into_iter().map(|error| {
            let meta =
                detector.rules().rules.get(error.rule).map(|rule| rule.meta.clone()).unwrap_or_default();
            Refused {
                place: meta.place.to_string(),
                title: Some(meta.title),
                id: meta.id,
                kind: "compile",
                reason: error.reason,
            }
        }));
        Self { detector, refused, texts: loaded.texts }
    }
}

/// Indicators and patterns that were read but not compiled yet.
#[derive(Debug, Default)]
struct TakenIntel {
    intel: Intel,
    refused: Vec<Refused>,
}

impl TakenIntel {
    /// # Errors
    /// A file that the user named and that holds nothing of use: a typing error here must not
    /// look like "nothing found".
    fn file(&mut self, origin: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let loaded = self.load(origin, bytes);
        if loaded.values + loaded.patterns + loaded.sigma == 0 {
            let first = loaded.refusals.first().map_or("it is empty", |refusal| refusal.reason.as_str());
            bail!("intelligence `{origin}` holds no indicator that can be used: {first}");
        }
        Ok(())
    }

    fn load(&mut self, origin: &str, bytes: &[u8]) -> Loaded {
        let loaded = self.intel.load(origin, bytes);
        self.refused.extend(loaded.refusals.iter().map(of_intel));
        let unlisted = loaded.refused.saturating_sub(loaded.refusals.len());
        if unlisted > 0 {
            self.refused.push(Refused {
                place: origin.to_owned(),
                title: None,
                id: None,
                kind: "indicator",
                reason: format!("{unlisted} more entries of this file were refused"),
            });
        }
        loaded
    }
}

fn of_intel(refusal: &Refusal) -> Refused {
    Refused {
        place: match &refusal.place {
            Place::File => refusal.origin.to_string(),
            Place::Line(line) => format!("{}:{line}", refusal.origin),
            Place::Object(id) => format!("{} ({id})", refusal.origin),
        },
        title: None,
        id: None,
        kind: "indicator",
        reason: refusal.reason.clone(),
    }
}

/// Reads the rules that the arguments name, or the built-in pack.
pub(crate) fn load_rules(arguments: &RuleArgs, keep_texts: bool) -> anyhow::Result<LoadedRules> {
    RuleReader::open(arguments, keep_texts).map(RuleReader::finish)
}

struct RuleReader {
    loader: Loader,
    unreadable: Vec<Refused>,
    files: u64,
    texts: Option<RuleTexts>,
}

impl RuleReader {
    /// Reads the rules that the arguments name, or the built-in pack.
    fn open(arguments: &RuleArgs, keep_texts: bool) -> anyhow::Result<Self> {
        let mut reader = Self::new(&arguments.placeholder, keep_texts);
        if arguments.rules.is_empty() {
            for (name, text) in pack::PACK {
                reader.add(&format!("{}/{name}", pack::ORIGIN), text.as_bytes());
            }
        }
        for path in &arguments.rules {
            reader.path(path)?;
        }
        if reader.files == 0 {
            let paths: Vec<String> =
                arguments.rules.iter().map(|path| format!("`{}`", path.display())).collect();
            bail!(
                "no rule file (*.yml, *.yaml) in {}; give a file or folder of Sigma rules",
                paths.join(", ")
            );
        }
        Ok(reader)
    }

    fn new(values: &[(String, Vec<String>)], keep_texts: bool) -> Self {
        let mut placeholders = Placeholders::new();
        for (name, values) in values {
            placeholders.entry(name.clone()).or_default().extend(values.iter().cloned());
        }
        let texts = keep_texts.then(RuleTexts::new);
        Self { loader: Loader::new(placeholders), unreadable: Vec::new(), files: 0, texts }
    }

    fn add(&mut self, origin: &str, bytes: &[u8]) {
        self.files += 1;
        self.loader.add(origin, bytes);
        if let Some(texts) = &mut self.texts {
            texts.insert(origin.to_owned(), String::from_utf8_lossy(bytes).into_owned());
        }
    }

    /// A path that the user named has to be there; below it, what cannot be read is refused.
    fn path(&mut self, path: &Path) -> anyhow::Result<()> {
        let metadata = fs::metadata(path).with_context(|| format!("rules `{}`", path.display()))?;
        if !metadata.is_dir() {
            self.file(path);
            return Ok(());
        }
        for file in files_below(path, &["yml", "yaml"], &mut |path, error| self.cannot_read(path, error)) {
            self.file(&file);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) {
        let len = fs::metadata(path).map_or(0, |metadata| metadata.len());
        if len > limits::INPUT_BYTES_MAX as u64 {
            let reason = format!("has `{len}` bytes; at most {} are read", limits::INPUT_BYTES_MAX);
            return self.refuse(path, "limit", reason);
        }
        match fs::read(path) {
            Ok(bytes) => self.add(&path.display().to_string(), &bytes),
            Err(error) => self.cannot_read(path, &error),
        }
    }

    fn cannot_read(&mut self, path: &Path, error: &std::io::Error) {
        self.refuse(path, "unreadable", format!("cannot be read: {error}"));
    }

    fn refuse(&mut self, path: &Path, kind: &'static str, reason: String) {
        self.unreadable.push(Refused {
            place: path.display().to_string(),
            title: None,
            id: None,
            kind,
            reason,
        });
    }

    fn finish(self) -> LoadedRules {
        LoadedRules {
            set: self.loader.finish(),
            unreadable: self.unreadable,
            files: self.files,
            texts: self.texts.unwrap_or_default(),
        }
    }
}

/// Files with one of these extensions below a folder, sorted by path. Links to folders are not
/// followed, so that it always ends; hidden folders (`.git`) are left out.
pub(crate) fn files_below(
    folder: &Path,
    extensions: &[&str],
    fault: &mut dyn FnMut(&Path, &std::io::Error),
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(folder) = stack.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                fault(&folder, &error);
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if path.is_dir() {
                if !path.is_symlink() && !hidden {
                    stack.push(path);
                }
            } else if extensions.is_empty() || extensions.contains(&extension.as_str()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
