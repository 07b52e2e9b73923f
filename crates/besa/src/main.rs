//! The `besa` command: evidence and rules in, findings out; and the node that keeps and exchanges
//! intelligence.
//!
//! | folder | what lives there |
//! |---|---|
//! | [`cli`] | the arguments and their help |
//! | [`commands`] | one file per subcommand: what it does with its arguments |
//! | [`hunt`] | the pipeline: reader, workers, collector, external sort, account |
//! | [`output`] | one file per format of findings |
//! | [`scenario`] | the built-in attack that `besa demo` replays |
//!
//! Exit codes: 0 nothing found, 1 findings, 2 error; 130 when Ctrl-C ended a hunt before anything
//! was found, since an unfinished hunt must not look like a clean one. The other commands say
//! in their help what their codes mean.

mod cli;
mod commands;
mod exercise;
mod hunt;
mod output;
mod pack;
#[expect(unreachable_pub, reason = "written as a library of its own: what is `pub` is its interface")]
mod scenario;
mod terminal;

use std::io;
use std::process::ExitCode;

use terminal::Terminal;

/// Something went wrong: bad arguments, unreadable rules, a full disk.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let cli = cli::parse();
    let terminal = Terminal::new(cli.color, cli.quiet);
    match commands::run(cli.command, &terminal) {
        Ok(code) => ExitCode::from(code),
        // The reader of our output (`head`, a pager) has seen enough; that is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&format!("{error:#}"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// Whether writing failed because nobody reads any more.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}
