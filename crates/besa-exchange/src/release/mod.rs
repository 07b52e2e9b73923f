//! The one gate: what is taken out of the store for somebody goes through [`Gate`], or does not go.
//!
//! For the node's own people it gives what the store holds. For everybody else the release policy
//! decides about each object at the moment of reading, with the charter of that moment; what may go is
//! numbered in a **ledger** of that reader ([`besa_intel::Ledger`]), and the reader's cursors, counts,
//! times and `more` come from those numbers alone. So nothing tells how much was not shown.
//!
//! Before it answers, the gate looks at everything that changed since it last did: what came, what got
//! a new version or a new sender, and whatever refers to such, directly or not
//! ([`Store::affected`]). What is visible now and was not, or reads otherwise, gets the next number.
//! A new charter, another choice of the operator, or an IEP that begins or ends makes it look at the
//! whole collection, in steps that are kept. While such a walk takes longer than [`PATIENCE`], the
//! reader is told to come again.
//!
//! A number once given stays; whether what it names may still go is decided at each reading, so a
//! mistake in following changes could make something come late, never let it out.
//!
//! What is not covered: how long an answer takes, and what a reader learns from what it itself sends.

mod shelf;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant as Clock};

use besa_alliance::member::MemberId;
use besa_alliance::policy::{
    Exit, Held, Membership, Outcome, Party, Policy, Recipient, Released, Settings, Text,
};
use besa_intel::{
    CollectionKey, Ledger, PAGE_MAX, PageQuery, RowsOf, Shown, Store, StoreError, Stored, Time,
    VersionFilter, VersionKey, micros,
};
use sha2::{Digest as _, Sha256};

pub use shelf::{Shelf, held};

/// Changes followed one by one; beyond, the whole collection is looked at.
const AFFECTED_MAX: usize = 20_000;
/// Objects judged together.
const STEP: usize = 200;
/// Objects looked at between two marks of a walk.
const WALK_STEP: usize = 1_000;
/// Rows looked at for one page; those that may go no longer count too.
const BUDGET_ROWS: usize = 8_192;
/// Bytes of objects after which a page ends; its last object may lie beyond.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Verdicts kept.
const VERDICTS_MAX: usize = 4_096;
/// How long one request looks at changes before its reader is told to come again.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the release policy depends on beside the store.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whose node this is.
    pub holder: MemberId,
    /// The charter's members and groups at this moment.
    pub membership: Membership,
    /// The operator's choices.
    pub settings: Settings,
    mark: String,
}

impl Terms {
    /// Terms, with a mark that tells them from others.
    pub fn new(holder: MemberId, membership: Membership, settings: Settings) -> Self {
        // The form of the policy's rules is part of it: a release that changes them counts this up.
        let said = format!("1 {holder} {membership:?} {settings:?}");
        let mark =
            Sha256::digest(said.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { holder, membership, settings, mark }
    }
}

/// Something taken out for somebody.
#[derive(Clone, Debug)]
pub struct Item {
    /// The object; its text may be empty if only its place was asked for.
    pub text: Released<Text>,
    /// Its version as TAXII names it.
    pub version: String,
    /// 20 or 21.
    pub spec: i64,
    /// When it became visible to the reader, microseconds since 1970.
    pub added: i64,
}

/// A page for somebody.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// In order.
    pub items: Vec<Item>,
    /// From where the next page goes on.
    pub next: u64,
    /// Whether there is a next page.
    pub more: bool,
}

/// The gate.
#[derive(Default)]
pub struct Gate {
    terms: RwLock<Option<Arc<Terms>>>,
    source: Option<Source>,
    verdicts: Mutex<Verdicts>,
    turns: Mutex<HashMap<Reader, Arc<Mutex<()>>>>,
}

/// A collection and who reads it from outside.
type Reader = (CollectionKey, String);

/// Tells the terms of this moment.
type Source = Box<dyn Fn() -> Option<Arc<Terms>> + Send + Sync>;

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// A text that may go, or that it may not.
type Verdict = Option<Arc<Released<Text>>>;

/// Verdicts of one state of the store, by reader and version. A state ends with the next commit, with
/// other terms, and when an IEP begins or ends.
#[derive(Debug, Default)]
struct Verdicts {
    state: (u64, String),
    until: Option<i64>,
    known: HashMap<Reader, HashMap<u64, Verdict>>,
    count: usize,
}

/// One who reads from outside, at one moment.
struct Reading<'a> {
    gate: &'a Gate,
    store: &'a dyn Store,
    terms: Arc<Terms>,
    recipient: &'a Recipient,
    collection: CollectionKey,
    now: Time,
}

impl Gate {
    /// A gate that lets nothing out to anybody but the node's own people: there is no charter.
    pub fn shut() -> Self {
        Self::default()
    }

    /// A gate with terms.
    pub fn new(terms: Terms) -> Self {
        let gate = Self::default();
        gate.set(Some(terms));
        gate
    }

    /// A gate that asks for the terms at each reading: a charter may change while the node runs.
    pub fn following(source: impl Fn() -> Option<Arc<Terms>> + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..Self::default() }
    }

    /// Other terms from now on: a new charter, another choice.
    pub fn set(&self, terms: Option<Terms>) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = terms.map(Arc::new);
    }

    /// The terms now.
    pub fn terms(&self) -> Option<Arc<Terms>> {
        match &self.source {
            Some(source) => source(),
            None => self.terms.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// A page of a collection for somebody; `None` if nothing leaves this node at all.
    pub fn page(
        &self,
        store: &dyn Store,
        party: &Party,
        collection: CollectionKey,
        query: &PageQuery,
        now: Time,
    ) -> Result<Option<Sheet>, StoreError> {
        match party {
            Party::Inside(inside) => {
                let page = store.page(collection, query)?;
                let item = |entry: besa_intel::Entry| Item {
                    version: entry.version.clone(),
                    spec: entry.spec,
                    added: entry.added,
                    text: inside.text(entry.raw, entry.id, Some(entry.version)),
                };
                let items = page.entries.into_iter().map(item).collect();
                Ok(Some(Sheet { items, next: page.next, more: page.more }))
            }
            Party::Outside(recipient) => {
                let Some(terms) = self.terms() else { return Ok(None) };
                let reading = Reading { gate: self, store, terms, recipient, collection, now };
                reading.page(query).map(Some)
            }
        }
    }

    /// What somebody may have of some stored objects, in their order; what stays is left out.
    pub fn release(
        &self,
        store: &dyn Store,
        party: &Party,
        exit: Exit,
        objects: Vec<Stored>,
        now: Time,
    ) -> Result<Vec<Released<Text>>, StoreError> {
        match party {
            Party::Inside(inside) => {
                let text = |one: Stored| inside.text(one.raw, one.id, Some(one.version));
                Ok(objects.into_iter().map(text).collect())
            }
            Party::Outside(recipient) => {
                let Some(terms) = self.terms() else { return Ok(Vec::new()) };
                let mut found = Vec::new();
                for part in objects.chunks(STEP) {
                    let (outcomes, _) = judge(store, &terms, recipient, exit, now, part)?;
                    found.extend(outcomes.into_iter().filter_map(Outcome::released));
                }
                Ok(found)
            }
        }
    }
}

/// Judges objects together; with it, when at the earliest the verdicts may change by time alone.
fn judge(
    store: &dyn Store,
    terms: &Terms,
    recipient: &Recipient,
    exit: Exit,
    now: Time,
    objects: &[Stored],
) -> Result<(Vec<Outcome>, Option<i64>), StoreError> {
    let shelf = Shelf::new(store, &terms.holder, now, objects);
    let held: Vec<Held<'_>> = objects.iter().map(|one| held(one, &terms.holder)).collect();
    let policy = Policy {
        releaser: &terms.holder,
        recipient,
        exit,
        membership: &terms.membership,
        catalogue: &shelf,
        now,
        settings: terms.settings.clone(),
    };
    let outcomes = policy.decide_all(&held);
    let until = shelf.finish()?;
    Ok((outcomes, until))
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn too_long() -> StoreError {
    StoreError::Busy("what changed is being looked at".to_owned())
}

impl Reading<'_> {
    fn reader(&self) -> Reader {
        (self.collection, self.recipient.as_str().to_owned())
    }

    /// Brings the ledger up to the store's last commit, one request at a time.
    fn advanced(&self) -> Result<Ledger, StoreError> {
        let reader = self.recipient.as_str();
        let turn = {
            let mut turns = self.gate.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(self.reader()).or_default())
        };
        let started = Clock::now();
        let _turn = loop {
            match turn.try_lock() {
                Ok(turn) => break turn,
                Err(TryLockError::Poisoned(turn)) => break turn.into_inner(),
                // Threads are few: who waits here gives its own back soon.
                Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE / 4 => return Err(too_long()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        loop {
            let ledger = self.store.ledger(self.collection, reader)?;
            let head = self.store.last_commit()?;
            let due = ledger.again_at.is_some_and(|at| at <= micros(self.now));
            let same = ledger.mark == self.terms.mark && !due;
            if same && ledger.walk.is_none() {
                if ledger.seen >= head {
                    return Ok(ledger);
                }
                let changed = self.store.affected(self.collection, ledger.seen, head, AFFECTED_MAX)?;
                if let Some(changed) = changed {
                    self.follow(&ledger, head, &changed)?;
                    continue;
                }
            }
            self.walk(&ledger, head, same)?;
            if started.elapsed() > PATIENCE {
                return Err(too_long());
            }
        }
    }

    /// Looks at what changed.
    fn follow(&self, ledger: &Ledger, head: u64, changed: &[(u64, u64)]) -> Result<bool, StoreError> {
        let (shown, until) = self.visible(changed)?;
        let again_at = earlier(ledger.again_at, until);
        let after = Ledger { seen: head, again_at, added: micros(self.now), ..ledger.clone() };
        self.store.advance_ledger(ledger, &after, shown)
    }

    /// Looks at the next part of the whole collection.
    fn walk(&self, ledger: &Ledger, head: u64, same: bool) -> Result<bool, StoreError> {
        let (at, began) = ledger.walk.filter(|_| same).unwrap_or((0, head));
        let known = ledger.again_at.filter(|_| same && ledger.walk.is_some());
        let part = self.store.listings(self.collection, at, began, WALK_STEP)?;
        let (shown, until) = self.visible(&part)?;
        let end = part.last().filter(|_| part.len() == WALK_STEP);
        let after = Ledger {
            mark: self.terms.mark.clone(),
            seen: if end.is_none() { began } else { ledger.seen },
            walk: end.map(|(listing, _)| (*listing, began)),
            again_at: earlier(known, until),
            added: micros(self.now),
            ..ledger.clone()
        };
        self.store.advance_ledger(ledger, &after, shown)
    }

    /// Rows of those listings that the reader may see.
    fn visible(&self, listings: &[(u64, u64)]) -> Result<(Vec<Shown>, Option<i64>), StoreError> {
        let (mut rows, mut until) = (Vec::new(), None);
        for part in listings.chunks(STEP) {
            let objects: Vec<u64> = part.iter().map(|(_, object)| *object).collect();
            let stored = self.store.listed(self.collection, &objects)?;
            let (outcomes, part_until) =
                judge(self.store, &self.terms, self.recipient, Exit::Taxii, self.now, &stored)?;
            until = earlier(until, part_until);
            for (one, outcome) in stored.iter().zip(outcomes) {
                rows.extend(outcome.released().map(|released| row(one, released.get())));
            }
        }
        Ok((rows, until))
    }

    fn page(&self, query: &PageQuery) -> Result<Sheet, StoreError> {
        let ledger = self.advanced()?;
        let mut after = query.after;
        if let Some(time) = query.added_after {
            after = after.max(self.store.ledger_until(&ledger, time)?);
        }
        let limit = query.limit.clamp(1, PAGE_MAX);
        let streams = streams(query)?;
        let mut sheet = Sheet { next: query.after, ..Sheet::default() };
        let (mut looked_at, mut bytes, mut chunk) = (0, 0, limit + 1);
        loop {
            let (rows, horizon) = self.chunk(&ledger, &streams, after, chunk)?;
            looked_at += rows.len();
            let texts = self.still_visible(&rows)?;
            let mut groups = BTreeMap::new();
            for (row, text) in rows.into_iter().zip(texts) {
                let number = row.number;
                if let Some(text) = text
                    && type_fits(query, &row)
                    && self.version_fits(&ledger, query, &row, &mut groups)?
                {
                    if sheet.items.len() == limit || bytes >= PAGE_BYTES_MAX {
                        sheet.more = true;
                        return Ok(sheet);
                    }
                    bytes += text.get().json().len();
                    let (version, spec, added) = (row.version.1, row.spec, row.added);
                    sheet.items.push(Item { text: Released::clone(&text), version, spec, added });
                }
                after = number;
                sheet.next = sheet.next.max(number);
            }
            let Some(horizon) = horizon else { return Ok(sheet) };
            after = after.max(horizon);
            sheet.next = sheet.next.max(after);
            if looked_at >= BUDGET_ROWS {
                sheet.more = true;
                return Ok(sheet);
            }
            chunk = (chunk * 2).min(PAGE_MAX);
        }
    }

    /// The next rows of all streams in order, as far as every stream was read; `None` if to the end.
    fn chunk(
        &self,
        ledger: &Ledger,
        streams: &[RowsOf<'_>],
        after: u64,
        chunk: usize,
    ) -> Result<(Vec<Shown>, Option<u64>), StoreError> {
        let (mut rows, mut horizon) = (Vec::new(), None);
        let each = (chunk / streams.len().max(1)).max(2);
        for of in streams {
            let part = self.store.ledger_rows(ledger, of, after, each)?;
            if part.len() == each {
                let end = part.last().map_or(after, |row| row.number);
                horizon = Some(horizon.map_or(end, |found: u64| found.min(end)));
            }
            rows.extend(part);
        }
        rows.sort_by_key(|row| row.number);
        if let Some(horizon) = horizon {
            rows.retain(|row| row.number <= horizon);
        }
        Ok((rows, horizon))
    }

    /// The texts of rows that may still go as they did; verdicts of the same state are remembered.
    fn still_visible(&self, rows: &[Shown]) -> Result<Vec<Verdict>, StoreError> {
        let state = (self.store.last_commit()?, self.terms.mark.clone());
        let mut known: HashMap<u64, Verdict> = HashMap::new();
        {
            let mut held = self.gate.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            if held.state != state || held.until.is_some_and(|until| until <= micros(self.now)) {
                *held = Verdicts { state: state.clone(), ..Verdicts::default() };
            }
            if let Some(mine) = held.known.get(&self.reader()) {
                for row in rows {
                    if let Some(verdict) = mine.get(&row.object) {
                        known.insert(row.object, verdict.clone());
                    }
                }
            }
        }
        let mut unknown: Vec<u64> = rows.iter().map(|row| row.object).collect();
        unknown.retain(|object| !known.contains_key(object));
        unknown.sort_unstable();
        unknown.dedup();
        let mut until = None;
        let mut fresh: HashMap<u64, Verdict> = HashMap::new();
        for part in unknown.chunks(STEP) {
            let stored = self.store.listed(self.collection, part)?;
            let (outcomes, part_until) =
                judge(self.store, &self.terms, self.recipient, Exit::Taxii, self.now, &stored)?;
            until = earlier(until, part_until);
            for (one, outcome) in stored.iter().zip(outcomes) {
                fresh.insert(one.seq, outcome.released().map(Arc::new));
            }
        }
        let mut held = self.gate.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if held.state == state {
            held.until = earlier(held.until, until);
            if held.count + fresh.len() > VERDICTS_MAX {
                (held.known, held.count) = (HashMap::new(), 0);
            }
            held.count += fresh.len();
            let mine = held.known.entry(self.reader()).or_default();
            mine.extend(fresh.iter().map(|(object, verdict)| (*object, verdict.clone())));
        }
        drop(held);
        known.extend(fresh);
        let text = |row: &Shown| {
            let verdict = known.get(&row.object)?.as_ref()?;
            (digest(verdict.get()) == row.digest).then(|| Arc::clone(verdict))
        };
        Ok(rows.iter().map(text).collect())
    }

    /// Whether a row is one of the versions asked for, among those that the reader may see.
    fn version_fits(
        &self,
        ledger: &Ledger,
        query: &PageQuery,
        row: &Shown,
        groups: &mut BTreeMap<String, Vec<Shown>>,
    ) -> Result<bool, StoreError> {
        let wanted = &query.versions;
        let sure = wanted.all || wanted.exact.iter().any(|version| row.version.0.is_shown_as(*version));
        let spec_sure = query.specs.is_some() || row.spec >= 21;
        if query.specs.as_ref().is_some_and(|specs| !specs.contains(&row.spec)) {
            return Ok(false);
        }
        if sure && spec_sure {
            return Ok(true);
        }
        if !groups.contains_key(&row.id) {
            let mut versions = self.store.ledger_rows(ledger, &RowsOf::Id(&row.id), 0, BUDGET_ROWS)?;
            if versions.len() > 1 {
                let texts = self.still_visible(&versions)?;
                let mut texts = texts.into_iter();
                versions.retain(|_| texts.next().flatten().is_some());
            }
            groups.insert(row.id.clone(), versions);
        }
        let Some(versions) = groups.get(&row.id) else { return Ok(false) };
        if !spec_sure && versions.iter().any(|other| other.spec >= 21) {
            return Ok(false);
        }
        let of_spec = || versions.iter().filter(|other| other.spec == row.spec);
        let last = of_spec().max_by_key(|other| (other.revoked, other.version.0, other.number));
        let first = of_spec().min_by_key(|other| (other.version.0, other.number));
        let is = |other: Option<&Shown>| other.is_some_and(|other| other.number == row.number);
        Ok(sure || ends_fit(wanted, is(first), is(last)))
    }
}

fn ends_fit(wanted: &VersionFilter, is_first: bool, is_last: bool) -> bool {
    (wanted.first && is_first) || (wanted.last && is_last)
}

fn type_fits(query: &PageQuery, row: &Shown) -> bool {
    query.types.is_empty() || query.types.contains(&row.object_type)
}

fn streams(query: &PageQuery) -> Result<Vec<RowsOf<'_>>, StoreError> {
    if query.ids.len().max(query.types.len()) > PAGE_MAX {
        return Err(StoreError::Input(format!("more than {PAGE_MAX} ids or types are asked for at once")));
    }
    let unique = |names: &'_ [String]| {
        let mut names: Vec<usize> = (0..names.len()).collect();
        names.sort_unstable();
        names
    };
    let mut streams: Vec<RowsOf<'_>> = Vec::new();
    let names = if query.ids.is_empty() { &query.types } else { &query.ids };
    for at in unique(names) {
        let Some(name) = names.get(at).filter(|name| !name.contains('\0')) else { continue };
        if names.iter().take(at).any(|other| other == name) {
            continue;
        }
        streams.push(if query.ids.is_empty() { RowsOf::Type(name) } else { RowsOf::Id(name) });
    }
    if names.is_empty() {
        streams.push(RowsOf::Everything);
    }
    Ok(streams)
}

fn digest(text: &Text) -> [u8; 32] {
    Sha256::digest(text.json().as_bytes()).into()
}

/// The row of a text that may go.
fn row(stored: &Stored, text: &Text) -> Shown {
    let version = text.version().unwrap_or(&stored.version);
    let instant = Time::parse(version).unwrap_or(Time::from_unix(0, 0));
    let key =
        if text.version().is_some() { VersionKey::of(instant) } else { VersionKey::unversioned(instant) };
    Shown {
        number: 0,
        object: stored.seq,
        digest: digest(text),
        id: text.id().to_owned(),
        object_type: text.id().split_once("--").map_or_else(String::new, |(kind, _)| kind.to_owned()),
        version: (key, version.to_owned()),
        spec: stored.spec,
        revoked: stored.revoked,
        added: 0,
    }
}
