//! `besa token`: API tokens of users.

use anyhow::{Result, bail};
use besa_intel::account::fresh_token;
use besa_intel::{Time, micros_text};
use besa_server::now;

use super::node::{collection, log, say};
use crate::cli::TokenCommand;

pub(super) fn run(command: &TokenCommand) -> Result<u8> {
    match command {
        TokenCommand::Add { user, label, scope, collection: only, days, data } => {
            let store = data.open()?;
            let directory = store.directory()?;
            let only = only.as_deref().map(|name| collection(&directory, name)).transpose()?;
            let end = Time::from_unix(now().unix_seconds() + i64::from(*days) * 86_400, 0);
            let end = (*days > 0).then_some(end);
            let token = fresh_token()?;
            store.add_token(&token.record(user, label, *scope, only.map(|found| found.key), end, now()))?;
            log(store.as_ref(), "token add", &format!("{user} {}", token.id))?;
            say(&token.text)?;
        }
        TokenCommand::Remove { id, data } => {
            let id = id.strip_prefix("besa_").unwrap_or(id);
            if id.contains('_') {
                bail!("give the token's id only, not its secret");
            }
            let store = data.open()?;
            store.remove_token(id)?;
            log(store.as_ref(), "token remove", id)?;
        }
        TokenCommand::List { json, data } => {
            for token in data.open_existing()?.directory()?.tokens {
                if *json {
                    say(serde_json::json!({
                        "id": token.id, "user": token.user, "scope": token.scope.name(), "label": token.label,
                        "created": micros_text(token.created), "expires": token.expires.map(micros_text),
                    }))?;
                    continue;
                }
                let end = token.expires.map_or_else(|| "never".to_owned(), micros_text);
                say(format_args!(
                    "{}\t{}\t{}\t{end}\t{}",
                    token.id,
                    token.user,
                    token.scope.name(),
                    token.label
                ))?;
            }
        }
    }
    Ok(0)
}
