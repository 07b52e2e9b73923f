//! `besa serve`: the node, until it is told to stop.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use besa_alliance::member::Digest;
use besa_alliance::policy::{Membership, Settings};
use besa_exchange::release::{Gate, Terms};
use besa_exchange::taxii::server::About;
use besa_intel::{Keep, Store};
use besa_node::Node;
use besa_node::home::Home;
use besa_node::node::Desk;
use besa_server::tls::Identity;
use besa_server::{Limits, Options, Taking, now};

use super::intake::foreign;
use super::node::{note, say};
use crate::cli::ServeArgs;
use crate::hunt::allies::ArchiveHunter;
use crate::hunt::interrupt::Interrupt;
use crate::terminal::Terminal;

/// Serves until a signal, then ends what is under way.
pub(super) fn serve(args: &ServeArgs, terminal: &Terminal) -> Result<u8> {
    start_log(args.log_json, terminal);
    let store = args.data.open()?;
    let limits = Limits {
        body_bytes: args.body_mib << 20,
        bodies_bytes: (args.body_mib << 20).max(Limits::default().bodies_bytes),
        ..Limits::default()
    };
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    let options = Options {
        listen: args.listen,
        tls: identity(args, terminal)?,
        client_authorities: args.client_ca.as_ref().map(read).transpose()?,
        insecure_http: args.insecure_http,
        about: About {
            title: args.title.clone(),
            description: "Threat intelligence of this node".to_owned(),
            contact: args.contact.clone(),
            max_content_length: limits.body_bytes,
        },
        limits,
        stop_at_signals: true,
        keep: Keep {
            audit_days: (args.audit_days > 0).then_some(args.audit_days),
            status_days: args.status_days,
        },
        clock: now,
        certificate_check: Options::loopback(0).certificate_check,
        inlet: Taking::default(),
        gate: Arc::new(Gate::shut()),
    };
    if store.directory()?.users.is_empty() {
        let hint = format_args!(
            "no user yet: besa user add NAME --role administrator --password-stdin --data {}",
            args.data.data
        );
        note(terminal, hint);
    }
    let member = member(args, &store)?;
    let inlet = member.as_ref().map_or_else(Taking::default, |(node, _)| Taking(node.gate().clone()));
    let gate = member.as_ref().map_or_else(Gate::shut, |(node, _)| gate_of(args, node));
    let outside = store.directory()?.users.iter().any(|user| user.member.is_some());
    if member.is_none() && outside {
        note(terminal, "accounts of members read nothing: this node has joined no alliance");
    }
    let running = besa_server::start(store, Options { inlet, gate: Arc::new(gate), ..options })?;
    // Also when quiet: with port 0 nobody knows it before. But nobody has to read it.
    if say(running.url()).is_err() {
        note(terminal, format_args!("serving {}", running.url()));
    }
    running.wait();
    if let Some((node, interrupt)) = member {
        interrupt.stop();
        node.stop();
    }
    note(terminal, "stopped");
    Ok(0)
}

/// Lets out what the charter that is known at that moment allows.
fn gate_of(args: &ServeArgs, node: &Node) -> Gate {
    let known = Arc::clone(node.gate());
    let home = Home::below(&args.data.folder());
    let holder = home.settings().map(|settings| settings.member).ok();
    let last: Mutex<Option<(Digest, Arc<Terms>)>> = Mutex::default();
    Gate::following(move || {
        let directory = &known.known().directory;
        let charter = directory.charter();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((digest, terms)) = last.as_ref()
            && *digest == charter.digest
        {
            return Some(Arc::clone(terms));
        }
        let membership = Membership::of(&charter.contents);
        let terms = Arc::new(Terms::new(holder.clone()?, membership, Settings::default()));
        *last = Some((charter.digest, Arc::clone(&terms)));
        Some(terms)
    })
}

/// The node of a member, if this data folder has joined an alliance.
fn member(args: &ServeArgs, store: &Arc<dyn Store>) -> Result<Option<(Node, Arc<Interrupt>)>> {
    let folder = args.data.folder();
    if !Home::below(&folder).exists() {
        return Ok(None);
    }
    let hunter = ArchiveHunter::new(args.archive.as_deref(), &folder);
    let interrupt = Arc::clone(&hunter.interrupt);
    let desk = Desk::open(Arc::clone(store), &folder, now())?;
    let node = Node::start(desk, Arc::new(hunter), foreign, now)?;
    Ok(Some((node, interrupt)))
}

/// The given certificate; else our own where TLS is due.
fn identity(args: &ServeArgs, terminal: &Terminal) -> Result<Option<Identity>> {
    if let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) {
        return Ok(Some(Identity::read(certificate, key)?));
    }
    if args.insecure_http || (args.listen.ip().is_loopback() && !args.tls) {
        return Ok(None);
    }
    let folder = args.data.folder().join("tls");
    let mut names = args.tls_name.clone();
    if !args.listen.ip().is_unspecified() {
        names.push(args.listen.ip().to_string());
    }
    let identity = Identity::own(&folder, &names)?;
    note(terminal, format_args!("own certificate: {}", folder.join("certificate.pem").display()));
    Ok(Some(identity))
}

/// Log to standard error; `BESA_LOG` chooses what.
fn start_log(json: bool, terminal: &Terminal) {
    let usual = if terminal.is_quiet() { "error" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("BESA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
}
