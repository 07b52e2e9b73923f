//! What each subcommand does. Each function returns the exit code.

mod alliance;
mod archive;
mod audit;
mod authority;
mod backup;
mod bench;
mod bench_alliance;
mod chain;
mod charter;
mod charter_spec;
mod collection;
mod demo;
mod explain;
mod follow;
mod hunt;
mod input;
mod intake;
mod intel;
mod new_file;
mod node;
mod pattern;
mod release;
mod report;
mod rules;
mod scenario;
mod serve;
mod shell;
mod taxii;
mod token;
mod user;

use crate::cli::Command;
use crate::terminal::Terminal;

/// Runs a subcommand.
pub(crate) fn run(command: Command, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        Command::Hunt(arguments) => hunt::hunt(&arguments, terminal),
        Command::Follow(arguments) => follow::follow(&arguments, terminal),
        Command::Archive(command) => archive::run(&command, terminal),
        Command::Demo(arguments) => demo::demo(&arguments, terminal),
        Command::Explain(arguments) => explain::explain(&arguments, terminal),
        Command::Bench(arguments) => bench::bench(&arguments, terminal),
        Command::Rules(command) => rules::run(&command, terminal),
        Command::Pattern(command) => pattern::run(&command, terminal),
        Command::Scenario(command) => scenario::run(&command, terminal),
        Command::Serve(arguments) => serve::serve(&arguments, terminal),
        Command::Intel(command) => intel::run(&command, terminal),
        Command::Alliance(command) => alliance::run(&command, terminal),
        Command::Release(command) => release::run(&command, terminal),
        Command::Intake(command) => intake::run(&command, terminal),
        Command::Authority(command) => authority::run(&command, terminal),
        Command::Charter(command) => charter::run(&command, terminal),
        Command::Taxii(command) => taxii::run(&command, terminal),
        Command::Collection(command) => collection::run(&command),
        Command::User(command) => user::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Backup(command) => backup::run(&command, terminal),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments, terminal),
        Command::Man(arguments) => shell::man(&arguments, terminal),
    }
}
