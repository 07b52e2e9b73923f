//! `besa completions` and `besa man`.

use std::fs;
use std::io::Write;

use anyhow::Context as _;

use crate::cli::{CompletionsArgs, ManArgs, command};
use crate::terminal::Terminal;

pub(super) fn completions(arguments: &CompletionsArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    // The generator panics where writing fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), "besa", &mut script);
    print(&script, terminal)
}

pub(super) fn man(arguments: &ManArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    if let Some(folder) = &arguments.dir {
        let named = || format!("cannot write manual pages to `{}`", folder.display());
        fs::create_dir_all(folder).with_context(named)?;
        clap_mangen::generate_to(command(), folder).with_context(named)?;
        return Ok(0);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command()).render(&mut page)?;
    print(&page, terminal)
}

fn print(bytes: &[u8], terminal: &Terminal) -> anyhow::Result<u8> {
    let mut out = terminal.stdout();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(0)
}
