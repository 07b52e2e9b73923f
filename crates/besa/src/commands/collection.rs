//! `besa collection`: collections and who may use them. Works while the node runs.

use anyhow::{Context, Result};
use besa_intel::NewCollection;
use besa_server::now;

use super::node::{collection, log, say};
use crate::cli::CollectionCommand;
use crate::terminal::visible;

pub(super) fn run(command: &CollectionCommand) -> Result<u8> {
    match command {
        CollectionCommand::Add { title, alias, description, root, access, id, id_only, data } => {
            let store = data.open()?;
            let users = store.directory()?.users;
            for (name, _) in access {
                // Before anything is made.
                users
                    .iter()
                    .find(|user| user.name == *name)
                    .with_context(|| format!("there is no user `{name}`"))?;
            }
            let made = store.add_collection(
                &NewCollection {
                    id: id.clone(),
                    root: root.clone(),
                    alias: alias.clone(),
                    title: title.clone(),
                    description: description.clone(),
                },
                now(),
            )?;
            for (user, access) in access {
                store.set_access(made.key, user, *access)?;
            }
            log(store.as_ref(), "collection add", &made.id)?;
            if *id_only {
                say(&made.id)?;
            } else {
                say(format_args!("/{root}/collections/{}/\t{title}", made.id))?;
            }
        }
        CollectionCommand::Access { collection: name, access, data } => {
            let store = data.open()?;
            let found = collection(&store.directory()?, name)?;
            for (user, access) in access {
                store.set_access(found.key, user, *access)?;
                log(store.as_ref(), "collection access", &format!("{} {user} {access:?}", found.id))?;
            }
        }
        CollectionCommand::List { json, data } => {
            for found in data.open_existing()?.directory()?.collections {
                if *json {
                    say(serde_json::json!({
                        "id": found.id, "root": found.root, "alias": found.alias, "title": found.title,
                        "description": found.description,
                    }))?;
                    continue;
                }
                let alias = found.alias.as_deref().unwrap_or("-");
                say(format_args!("{}\t{}\t{alias}\t{}", found.id, found.root, visible(&found.title)))?;
            }
        }
    }
    Ok(0)
}
