//! What each subcommand does. Each function returns the exit code.

mod demo;
mod explain;
mod hunt;
mod input;
mod pattern;
mod rules;
mod scenario;
mod shell;

use crate::cli::Command;
use crate::terminal::Terminal;

/// Runs a subcommand.
pub(crate) fn run(command: Command, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        Command::Hunt(arguments) => hunt::hunt(&arguments, terminal),
        Command::Demo(arguments) => demo::demo(&arguments, terminal),
        Command::Explain(arguments) => explain::explain(&arguments, terminal),
        Command::Rules(command) => rules::run(&command, terminal),
        Command::Pattern(command) => pattern::run(&command, terminal),
        Command::Scenario(command) => scenario::run(&command, terminal),
        Command::Completions(arguments) => shell::completions(&arguments, terminal),
        Command::Man(arguments) => shell::man(&arguments, terminal),
    }
}
