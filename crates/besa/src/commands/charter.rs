//! `besa charter`: drafts, signatures put together, chains and releases verified. Files only.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use besa_alliance::charter::{Charter, CharterContents, KeyStatement, Limits, SharingGroup};
use besa_alliance::directory::Directory;
use besa_alliance::entry::{Content, Entry};
use besa_alliance::keys::{PublicKey, charter_fingerprint, key_fingerprint};
use besa_alliance::member::{Member, MemberState, Role};
use besa_alliance::refusal::Refusal;
use besa_stix::bundle::read_objects;
use besa_stix::time::Instant;
use serde_json::{Map, Value, json};

use super::chain::{self, Bad, Chain, draft_of, spec_of, text_of};
use super::new_file::{Readers, write};
use super::node::{note, say};
use super::release::moment;
use super::{charter_spec, input};
use crate::cli::{ChainVerifyArgs, CharterCommand, NewFile, ReleaseCheckArgs};
use crate::terminal::{Terminal, counted, visible};

pub(super) fn run(command: &CharterCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        CharterCommand::New { spec, file, at } => new(spec, file, at.as_deref(), terminal),
        CharterCommand::Amend { changes, charter, file, at } => {
            amend(changes, charter, file, at.as_deref(), terminal)
        }
        CharterCommand::Merge { copies, file } => merge(copies, file, terminal),
        CharterCommand::Show { file, json } => show(file, *json, terminal),
        CharterCommand::Verify(arguments) => verify(arguments, terminal),
        CharterCommand::CheckRelease(arguments) => check_release(arguments, terminal),
    }
}

fn new(spec: &Path, file: &NewFile, at: Option<&str>, terminal: &Terminal) -> Result<u8> {
    let base = json!({ "sequence": 0, "limits": Limits::default() });
    let contents = charter_spec::applied(base, spec_of(spec)?);
    let contents = contents.with_context(|| format!("`{}`", spec.display()))?;
    put_draft(&Charter::draft(moment(at)?, contents)?, file, terminal)
}

fn amend(
    changes: &Path,
    charter: &Path,
    file: &NewFile,
    at: Option<&str>,
    terminal: &Terminal,
) -> Result<u8> {
    let before = draft_of(charter)?;
    let base = serde_json::to_value(CharterContents {
        alliance: Some(before.alliance()),
        sequence: before.contents.sequence + 1,
        previous: Some(before.digest),
        ..before.contents.clone()
    })?;
    let contents = charter_spec::applied(base, spec_of(changes)?);
    let contents = contents.with_context(|| format!("`{}`", changes.display()))?;
    let draft = Charter::draft(moment(at)?, contents)?;
    match draft.check_follows(&before) {
        // Nobody has signed yet; everything else is checked before signatures are counted.
        Ok(()) | Err(Refusal::NoQuorum { .. }) => {}
        Err(refusal) => return Err(refusal).context("no such charter may follow"),
    }
    let code = put_draft(&draft, file, terminal)?;
    let needed = before.contents.quorum.charter_signatures;
    let needed = counted(u64::from(needed), "signature");
    note(terminal, format_args!("it takes {needed} of the members of charter {}", before.contents.sequence));
    for member in Charter::must_accept(Some(&before), &draft) {
        note(terminal, format_args!("and that of {} with the key it has in this one", member.name));
    }
    Ok(code)
}

fn put_draft(draft: &Charter, file: &NewFile, terminal: &Terminal) -> Result<u8> {
    put(draft, file)?;
    let (number, print) = (draft.contents.sequence, charter_fingerprint(&draft.digest));
    say(format_args!("charter      {number}\nfingerprint  {print}"))?;
    note(terminal, format_args!("`{}` is a draft; `besa authority sign` signs it", file.out.display()));
    Ok(0)
}

fn put(charter: &Charter, file: &NewFile) -> Result<()> {
    write(&file.out, &(charter.text() + "\n"), Readers::Usual, file.force)
}

fn merge(copies: &[PathBuf], file: &NewFile, terminal: &Terminal) -> Result<u8> {
    let mut merged: Option<Charter> = None;
    for path in copies {
        let copy = draft_of(path)?;
        check_signatures(&copy).with_context(|| format!("`{}`", path.display()))?;
        match &mut merged {
            None => merged = Some(copy),
            Some(merged) => {
                if !merged.merge_signatures(&copy) {
                    let (ours, theirs) =
                        (charter_fingerprint(&merged.digest), charter_fingerprint(&copy.digest));
                    bail!("`{}` is another charter ({theirs}) than the first file ({ours})", path.display());
                }
            }
        }
    }
    let merged = merged.context("there is no copy")?;
    put(&merged, file)?;
    let (number, found) = (merged.contents.sequence, merged.signatures.len() as u64);
    note(terminal, format_args!("charter {number} with {}", counted(found, "signature")));
    Ok(0)
}

/// A wrong signature would take the place of a right one.
fn check_signatures(charter: &Charter) -> Result<()> {
    for one in &charter.signatures {
        if !PublicKey::new(&one.key).is_ok_and(|key| charter.is_signed_by(&key)) {
            bail!("the signature of {} is wrong", key_fingerprint(&one.key));
        }
    }
    Ok(())
}

fn show(file: &Path, as_json: bool, terminal: &Terminal) -> Result<u8> {
    let text = text_of(file)?;
    let shown = match Charter::parse_draft(&text) {
        Ok(charter) if as_json => charter_json(&charter)?.to_string(),
        Ok(charter) => charter_text(&charter),
        Err(refusal) if chain::is_statement(&refusal) => {
            statement_shown(&KeyStatement::parse_draft(&text)?, as_json)?
        }
        Err(refusal) => return Err(refusal).with_context(|| format!("`{}`", file.display())),
    };
    lines(&shown, terminal)?;
    Ok(0)
}

fn lines(text: &str, terminal: &Terminal) -> Result<()> {
    let mut out = terminal.stdout();
    for line in text.lines() {
        writeln!(out, "{}", visible(line))?;
    }
    out.flush()?;
    Ok(())
}

fn signed_itself(member: &Member, charter: &Charter) -> bool {
    PublicKey::new(&member.authority_key).is_ok_and(|key| charter.is_signed_by(&key))
}

/// Signatures by keys that are no authority key here: those of before, or wrong ones.
fn other_signatures(charter: &Charter) -> Vec<Value> {
    let known = |key| charter.contents.members.iter().any(|member| member.authority_key == key);
    let others = charter.signatures.iter().filter(|one| !known(one.key));
    others
        .map(|one| {
            let right = PublicKey::new(&one.key).is_ok_and(|key| charter.is_signed_by(&key));
            json!({ "public_key": one.key, "fingerprint": key_fingerprint(&one.key), "right": right })
        })
        .collect()
}

fn charter_json(charter: &Charter) -> Result<Value> {
    let mut shown = json!({
        "type": charter.kind, "id": charter.id(), "created": charter.created.to_millis_text(),
        "fingerprint": charter_fingerprint(&charter.digest), "sha256": charter.digest,
        "other_signatures": other_signatures(charter),
    });
    merge_json(&mut shown, serde_json::to_value(&charter.contents)?);
    let mut members = Vec::new();
    for member in &charter.contents.members {
        let mut one = serde_json::to_value(member)?;
        let signed = json!({
            "authority_fingerprint": key_fingerprint(&member.authority_key),
            "signed": signed_itself(member, charter),
        });
        merge_json(&mut one, signed);
        members.push(one);
    }
    merge_json(&mut shown, json!({ "members": members, "alliance": charter.alliance() }));
    Ok(shown)
}

fn merge_json(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn charter_text(charter: &Charter) -> String {
    let contents = &charter.contents;
    let quorum = &contents.quorum;
    let mut lines = vec![
        format!(
            "charter      {} of {}, made {}",
            contents.sequence,
            contents.name,
            charter.created.to_millis_text()
        ),
        format!("fingerprint  {}", charter_fingerprint(&charter.digest)),
        format!("sha256       {}", charter.digest),
        format!("alliance     {}", charter.alliance()),
        format!(
            "quorum       {} signatures a charter, {} witnesses a head, {} confirmations a block",
            quorum.charter_signatures, quorum.witness_signatures, quorum.block_confirmations
        ),
        format!("limits       {}", plain(&json!(contents.limits))),
    ];
    contents.members.iter().for_each(|member| lines.extend(member_lines(member, charter)));
    lines.extend(contents.groups.iter().map(|one| group_line(one, contents)));
    lines.extend(contents.revocations.iter().map(|one| format!("revoked      {}", plain(&json!(one)))));
    lines.extend(other_signatures(charter).iter().map(|one| format!("signed too   {}", plain(one))));
    lines.join("\n")
}

fn group_line(group: &SharingGroup, contents: &CharterContents) -> String {
    let names = group.group_refs.iter().filter_map(|id| contents.member(id)).map(|one| one.name.as_str());
    format!("group        {}: {}", group.group, names.collect::<Vec<_>>().join(", "))
}

fn member_lines(member: &Member, charter: &Charter) -> Vec<String> {
    let signed = if signed_itself(member, charter) { "signed" } else { "not signed" };
    let nation = member.nation.map(|nation| format!(" ({nation})")).unwrap_or_default();
    let mut words = vec![state_name(member.state)];
    words.extend(member.roles.iter().map(|role| role_name(*role)));
    let mut lines = vec![
        format!("member       {}{nation}: {}, {signed}", member.name, words.join(", ")),
        format!("             {}", member.identity_ref),
        format!("  authority  {}", key_fingerprint(&member.authority_key)),
    ];
    for key in &member.node_keys {
        let (from, until) = (key.valid_from.to_millis_text(), key.valid_until.to_millis_text());
        lines.push(format!("  node key   {} from {from} until {until}", key_fingerprint(&key.node_key)));
    }
    lines
}

fn state_name(state: MemberState) -> &'static str {
    match state {
        MemberState::Proposed => "proposed",
        MemberState::Active => "active",
        MemberState::Suspended => "suspended",
        MemberState::Removed => "removed",
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Publisher => "publisher",
        Role::Witness => "witness",
    }
}

/// Properties as people read them.
fn plain(value: &Value) -> String {
    let Value::Object(properties) = value else { return value.to_string() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<_> = properties.iter().map(|(name, value)| format!("{name} {}", text(value))).collect();
    parts.join(", ")
}

fn statement_shown(statement: &KeyStatement, as_json: bool) -> Result<String> {
    let signers: Vec<_> = statement
        .signatures
        .iter()
        .map(|one| {
            let right = PublicKey::new(&one.key).is_ok_and(|key| statement.is_signed_by(&key));
            json!({ "public_key": one.key, "fingerprint": key_fingerprint(&one.key), "right": right })
        })
        .collect();
    let contents = &statement.contents;
    let created = statement.created.to_millis_text();
    if as_json {
        let mut shown = json!({
            "type": statement.kind, "id": statement.id(), "created": created, "sha256": statement.digest,
            "signers": signers,
        });
        merge_json(&mut shown, serde_json::to_value(contents)?);
        return Ok(shown.to_string());
    }
    let mut lines = vec![
        format!("keys         of {}, stated {created}", contents.created_by_ref),
        format!("alliance     {}", contents.alliance),
    ];
    lines.extend(contents.certified.iter().map(|one| format!("certified    {}", plain(&json!(one)))));
    lines.extend(contents.revocations.iter().map(|one| format!("revoked      {}", plain(&json!(one)))));
    lines.extend(signers.iter().map(|one| format!("signed by    {}", plain(one))));
    Ok(lines.join("\n"))
}

fn verify(arguments: &ChainVerifyArgs, terminal: &Terminal) -> Result<u8> {
    let chain = Chain::read(&arguments.files)?;
    let judged = chain.and_then(|chain| {
        let directory = chain.judge(arguments.pin.as_deref())?;
        Ok((chain, directory))
    });
    let (chain, directory) = match judged {
        Ok(judged) => judged,
        Err(bad) => return tell_bad(&bad, arguments.json),
    };
    if arguments.json {
        say(chain_json(&chain, &directory, arguments.pin.is_some()))?;
    } else {
        lines(&chain_text(&chain, &directory), terminal)?;
        warn_unpinned(&directory, arguments.pin.as_deref(), terminal);
    }
    Ok(0)
}

fn tell_bad(bad: &Bad, as_json: bool) -> Result<u8> {
    if as_json {
        say(bad.json())?;
    } else {
        say(bad.text())?;
    }
    Ok(1)
}

/// Whose signatures count for a charter: those of the one before; for the first its own.
fn signers(directory: &Directory, charter: &Charter) -> Vec<String> {
    let before = charter.contents.sequence.checked_sub(1).and_then(|before| directory.charter_at(before));
    before.unwrap_or(charter).signers_of(charter).into_iter().map(ToString::to_string).collect()
}

fn chain_json(chain: &Chain, directory: &Directory, pinned: bool) -> Value {
    let charters: Vec<_> = chain
        .charters
        .iter()
        .map(|one| {
            let charter = &one.object;
            json!({
                "file": one.file.display().to_string(), "sequence": charter.contents.sequence,
                "created": charter.created.to_millis_text(), "sha256": charter.digest,
                "fingerprint": charter_fingerprint(&charter.digest), "signers": signers(directory, charter),
            })
        })
        .collect();
    let statements: Vec<_> = chain.statements.iter().map(|one| {
        json!({ "file": one.file.display().to_string(), "member": one.object.contents.created_by_ref, "sha256": one.object.digest })
    }).collect();
    json!({
        "valid": true, "pinned": pinned, "alliance": directory.alliance(), "charters": charters,
        "statements": statements,
    })
}

fn chain_text(chain: &Chain, directory: &Directory) -> String {
    let mut lines: Vec<_> = chain
        .charters
        .iter()
        .map(|one| {
            let charter = &one.object;
            let signed = counted(signers(directory, charter).len() as u64, "signature");
            let (number, print) = (charter.contents.sequence, charter_fingerprint(&charter.digest));
            format!("charter {number}  {print}  {signed} that count  {}", one.file.display())
        })
        .collect();
    lines.extend(
        chain
            .statements
            .iter()
            .map(|one| format!("keys of {}  {}", one.object.contents.created_by_ref, one.file.display())),
    );
    let charter = directory.charter();
    let active = counted(charter.contents.active().count() as u64, "active member");
    lines.push(format!(
        "valid: {}, {active}, charter {} in force",
        charter.contents.name, charter.contents.sequence
    ));
    lines.join("\n")
}

fn warn_unpinned(directory: &Directory, pin: Option<&str>, terminal: &Terminal) {
    if pin.is_none() {
        let print = charter_fingerprint(&directory.alliance());
        note(
            terminal,
            format_args!("not pinned: compare {print} with the members by voice, then give it as --pin"),
        );
    }
}

fn check_release(arguments: &ReleaseCheckArgs, terminal: &Terminal) -> Result<u8> {
    let chain = Chain::read(&arguments.charter)?;
    let text = text_of(&arguments.entry)?;
    let judged = chain.and_then(|chain| {
        let directory = chain.judge(arguments.pin.as_deref())?;
        let entry = Entry::parse(&text).map_err(|error| Bad::new(&arguments.entry, &error.into()))?;
        Ok((directory, entry))
    });
    let (directory, entry) = match judged {
        Ok(judged) => judged,
        Err(bad) => return tell_bad(&bad, arguments.json),
    };
    if !matches!(entry.content(), Content::Release(_) | Content::Answer(_)) {
        bail!("`{}` is a {}, which brings no objects", arguments.entry.display(), entry.kind.object_type());
    }
    let findings =
        release_findings(&directory, &entry, &arguments.objects, moment(arguments.at.as_deref())?)?;
    let valid = findings.iter().all(|finding| finding.bad.is_none());
    if arguments.json {
        say(release_json(&entry, &findings, valid, arguments.pin.is_some()))?;
    } else {
        lines(&release_text(&directory, &entry, &findings, valid), terminal)?;
        warn_unpinned(&directory, arguments.pin.as_deref(), terminal);
    }
    Ok(u8::from(!valid))
}

/// What was found of the entry itself (the first) or of one object.
struct Finding {
    what: String,
    modified: Option<String>,
    /// Name and text of the reason why it is not valid.
    bad: Option<(&'static str, String)>,
}

fn refused(refusal: &Refusal) -> (&'static str, String) {
    (refusal.name(), refusal.to_string())
}

fn release_findings(
    directory: &Directory,
    entry: &Entry,
    files: &[PathBuf],
    now: Instant,
) -> Result<Vec<Finding>> {
    let judged = directory.judge(entry, now).err();
    let mut findings = vec![Finding { what: entry.id(), modified: None, bad: judged.as_ref().map(refused) }];
    for file in files {
        let read = read_objects(&input::read(file)?).with_context(|| format!("`{}`", file.display()))?;
        for defect in &read.defects {
            let what =
                defect.id.clone().unwrap_or_else(|| format!("object {} of {}", defect.index, file.display()));
            findings.push(Finding {
                what,
                modified: None,
                bad: Some(("bad-object", defect.reason.to_string())),
            });
        }
        for object in &read.objects {
            let outcome = entry.check_object(object.raw(), |member| directory.member(member).is_some());
            let header = object.header();
            let modified = header.modified.as_ref().map(|modified| modified.text.clone());
            findings.push(Finding {
                what: header.id.clone(),
                modified,
                bad: outcome.err().as_ref().map(refused),
            });
        }
    }
    let missing: Vec<_> = entry
        .content()
        .objects()
        .iter()
        .filter(|line| {
            !findings
                .iter()
                .skip(1)
                .any(|one| one.what == line.object_ref && one.modified == line.object_modified)
        })
        .collect();
    findings.extend(missing.into_iter().map(|line| Finding {
        what: line.object_ref.clone(),
        modified: line.object_modified.clone(),
        bad: Some(("missing", "it is in the release, and in none of the files".to_owned())),
    }));
    Ok(findings)
}

fn release_json(entry: &Entry, findings: &[Finding], valid: bool, pinned: bool) -> Value {
    let shown = |finding: &Finding| {
        let mut shown = Map::new();
        shown.insert("id".to_owned(), json!(finding.what));
        if let Some(modified) = &finding.modified {
            shown.insert("modified".to_owned(), json!(modified));
        }
        shown.insert("valid".to_owned(), json!(finding.bad.is_none()));
        if let Some((reason, why)) = &finding.bad {
            shown.insert("reason".to_owned(), json!(reason));
            shown.insert("why".to_owned(), json!(why));
        }
        Value::Object(shown)
    };
    let objects: Vec<_> = findings.iter().skip(1).map(shown).collect();
    json!({
        "valid": valid, "pinned": pinned, "member": entry.member(), "created": entry.created.to_millis_text(),
        "audience": entry.envelope().audience, "charter": entry.envelope().charter,
        "sequence": entry.sequence(), "sha256": entry.digest,
        "entry": findings.first().map(shown), "objects": objects,
    })
}

fn release_text(directory: &Directory, entry: &Entry, findings: &[Finding], valid: bool) -> String {
    let line = |finding: &Finding| {
        let modified =
            finding.modified.as_ref().map(|modified| format!(" of {modified}")).unwrap_or_default();
        match &finding.bad {
            None => format!("valid        {}{modified}", finding.what),
            Some((reason, why)) => format!("{reason:<12} {}{modified}: {why}", finding.what),
        }
    };
    let mut lines: Vec<_> = findings.iter().map(line).collect();
    let name = directory.member(entry.member()).map_or("a stranger", |member| member.name.as_str());
    let verdict = if valid { "valid" } else { "not valid" };
    let objects = counted(entry.content().objects().len() as u64, "object");
    lines.push(format!(
        "{verdict}: entry {} of a log of {name} ({}), {objects}, made {}",
        entry.sequence(),
        entry.member(),
        entry.created.to_millis_text()
    ));
    lines.join("\n")
}
