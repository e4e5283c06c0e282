//! `completions` and `man`: what a shell and `man` are told of the command line, from the definitions that
//! the program itself reads it by.

use crate::Outcome;
use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::terminal::output;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

/// The name the program is called by.
const NAME: &str = "autoloss-host";

/// Prints the script.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    let mut script = String::from_utf8(script)?;
    if args.shell == Shell::Bash {
        // clap_complete spells a hyphen of the program's name in two ways in this script, so that
        // nothing would be completed behind a command.
        script = script.replace("autoloss__subcmd__host", "autoloss__host");
    }
    output::print(&script)?;
    Ok(Outcome::Done)
}

/// Writes the pages.
pub(crate) fn man(args: &ManArgs) -> Result<Outcome> {
    let folder = &args.out;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("cannot write manual pages into {}", folder.display()))?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("man1");
        man(&ManArgs { out: out.clone() }).unwrap();
        for command in Cli::command().get_subcommands() {
            let page = out.join(format!("{NAME}-{}.1", command.get_name()));
            assert_eq!(page.is_file(), !command.is_hide_set(), "{}", page.display());
        }
        let text = std::fs::read_to_string(out.join(format!("{NAME}.1"))).unwrap();
        // A date, which would stand between the two, would make two packages of one version differ.
        let title = concat!(
            ".TH autoloss-host 1  \"autoloss-host ",
            env!("CARGO_PKG_VERSION"),
            "\""
        );
        assert!(text.contains(title), "{text}");
    }
}
