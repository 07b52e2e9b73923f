//! `besa hunt --report-to`: what was found, as STIX objects, into a collection of a node.
//!
//! The node is reached over TAXII with the client's retries, or its data folder is opened. Ids and
//! times are derived from rule, record and creator, so what is sent twice is there once; where the
//! node holds another content under the same id (the same hunt with another TLP), it says so.

use anyhow::{Context as _, Result, bail};
use besa_alliance::policy::Inside;
use besa_exchange::taxii::client::Client;
use besa_intel::{Batch, CollectionKey, Store, prepare_all};
use besa_server::now;
use std::sync::Arc;

use super::node::{collection, log, note, refused};
use super::taxii::client;
use crate::cli::{DataArgs, HuntArgs};
use crate::output::{Report, each_stix_object};
use crate::terminal::Terminal;

/// Objects and bytes sent at once.
const OBJECTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 << 20;

/// Where to send.
pub(super) enum Target {
    Url { client: Client, url: String },
    Store { store: Arc<dyn Store>, collection: CollectionKey },
}

impl Target {
    /// Opens what `--report-to` names, before the hunt: a wrong name is told at once.
    pub(super) fn open(to: &str, arguments: &HuntArgs) -> Result<Self> {
        if to.starts_with("http://") || to.starts_with("https://") {
            if arguments.report_collection.is_some() {
                bail!("the URL names the collection already; leave --report-collection out");
            }
            return Ok(Self::Url { client: client(&arguments.peer)?, url: to.to_owned() });
        }
        let Some(name) = &arguments.report_collection else {
            bail!("say which collection of `{to}`: --report-collection NAME");
        };
        let data = DataArgs { data: to.to_owned() };
        let store = data.open_existing()?;
        let collection = collection(&store.directory()?, name)?.key;
        log(store.as_ref(), "hunt report", name)?;
        Ok(Self::Store { store, collection })
    }

    /// Sends objects; gives how many were taken.
    fn take(&self, objects: &[String], terminal: &Terminal) -> Result<u64> {
        let (taken, failures) = match self {
            Self::Url { client, url } => {
                let texts = Inside::by_the_operator().texts(objects.iter().cloned());
                let pushed = client.push(url, &texts).context("the findings cannot be reported")?;
                (pushed.taken, pushed.failures)
            }
            Self::Store { store, collection } => {
                let prepared = prepare_all(format!("[{}]", objects.join(",")).as_bytes())?;
                let receipt = store.add_objects(Batch::new("hunt", now(), Some(*collection), prepared))?;
                let failed = receipt.outcomes.iter().flatten().filter(|outcome| !outcome.is_success());
                (receipt.successes(), failed.map(|one| (one.id.clone(), one.message.clone())).collect())
            }
        };
        for (id, reason) in failures {
            refused(terminal, format_args!("{id}: {reason}"));
        }
        Ok(taken)
    }
}

/// Sends a hunt's findings.
pub(super) fn send(report: &Report<'_>, target: &Target, terminal: &Terminal) -> Result<()> {
    let (mut held, mut bytes, mut sent, mut taken) = (Vec::new(), 0, 0u64, 0u64);
    let mut flush = |held: &mut Vec<String>| -> Result<()> {
        sent += held.len() as u64;
        taken += target.take(held, terminal)?;
        held.clear();
        Ok(())
    };
    each_stix_object(report, &mut |object| {
        let text = object.to_string();
        bytes += text.len();
        held.push(text);
        if held.len() == OBJECTS_MAX || bytes >= BYTES_MAX {
            bytes = 0;
            flush(&mut held)?;
        }
        Ok(())
    })?;
    if !held.is_empty() {
        flush(&mut held)?;
    }
    note(terminal, format_args!("reported: {sent} objects sent, {taken} taken"));
    if sent != taken {
        bail!("the node did not take {} of {sent} objects", sent - taken);
    }
    Ok(())
}
