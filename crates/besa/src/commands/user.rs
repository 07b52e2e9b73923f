//! `besa user`: who may use the node. Works while the node runs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use besa_intel::account::hash_password;
use besa_intel::{Store, User};

use super::node::{log, say, secret_from_stdin};
use crate::cli::UserCommand;

pub(super) fn run(command: &UserCommand) -> Result<u8> {
    match command {
        UserCommand::Add { name, role, password_stdin, certificate, member, data } => {
            let password = new_password(*password_stdin)?;
            let certificate = certificate.as_ref().map(fingerprint).transpose()?;
            if password.is_none() && certificate.is_none() {
                bail!("nobody could log in as `{name}`; give --password-stdin or --certificate");
            }
            let store = data.open()?;
            store.add_user(&User {
                name: name.clone(),
                role: *role,
                password,
                certificate,
                disabled: false,
                member: member.clone(),
            })?;
            log(store.as_ref(), "user add", name)?;
        }
        UserCommand::Set {
            name,
            role,
            password_stdin,
            certificate,
            member,
            no_member,
            disable,
            enable,
            data,
        } => {
            let store = data.open()?;
            let mut user = find(store.as_ref(), name)?;
            user.role = role.unwrap_or(user.role);
            user.password = new_password(*password_stdin)?.or(user.password);
            user.certificate = certificate.as_ref().map(fingerprint).transpose()?.or(user.certificate);
            user.member = member.clone().or(user.member).filter(|_| !no_member);
            user.disabled = (user.disabled || *disable) && !enable;
            store.update_user(&user)?;
            log(store.as_ref(), "user set", name)?;
        }
        UserCommand::Remove { name, data } => {
            let store = data.open()?;
            store.remove_user(name)?;
            log(store.as_ref(), "user remove", name)?;
        }
        UserCommand::List { json, data } => {
            for user in data.open_existing()?.directory()?.users {
                if *json {
                    say(serde_json::json!({
                        "name": user.name, "role": user.role.name(), "disabled": user.disabled,
                        "password": user.password.is_some(), "certificate": user.certificate,
                        "member": user.member,
                    }))?;
                    continue;
                }
                let state = if user.disabled { "disabled" } else { "enabled" };
                let member = user.member.as_deref().unwrap_or("-");
                say(format_args!("{}\t{}\t{state}\t{member}", user.name, user.role.name()))?;
            }
        }
    }
    Ok(0)
}

fn new_password(from_stdin: bool) -> Result<Option<String>> {
    if !from_stdin {
        return Ok(None);
    }
    Ok(Some(hash_password(&secret_from_stdin("password")?)?))
}

fn fingerprint(path: &PathBuf) -> Result<String> {
    let pem = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(besa_server::tls::fingerprint(&pem)?)
}

fn find(store: &dyn Store, name: &str) -> Result<User> {
    let found = store.directory()?.users.into_iter().find(|user| user.name == name);
    found.with_context(|| format!("there is no user `{name}`"))
}
