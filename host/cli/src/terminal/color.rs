//! Whether anything is coloured.
//!
//! Decided once, before clap reads the command line, since clap's own messages are coloured too. The
//! decision is kept where anstream keeps it, so that clap, the log and our own lines all follow it.
//! Without `--color` it is anstream's: `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, `TERM=dumb`, and
//! whether the stream is a terminal, in this order.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use std::ffi::OsString;
use std::fmt::Display;

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    // Without a help of their own: it would spread every command's help over twice the lines.
    #[default]
    Auto,
    Always,
    Never,
}

/// Of an error's first word.
const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Of what works.
const GOOD: Style = AnsiColor::Green.on_default();

/// Follows what the arguments say of `--color`; clap will refuse what they may not say.
pub(crate) fn start(arguments: impl IntoIterator<Item = OsString>) {
    let choice = match said(arguments) {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    choice.write_global();
}

fn said(arguments: impl IntoIterator<Item = OsString>) -> When {
    let mut when = When::Auto;
    let mut awaited = false;
    for argument in arguments {
        let text = argument.to_string_lossy();
        if text == "--" {
            break;
        }
        let value = if awaited {
            Some(text.as_ref())
        } else {
            text.strip_prefix("--color=")
        };
        if let Some(value) = value {
            when = When::from_str(value, false).unwrap_or_default();
        }
        awaited = text == "--color" && !awaited;
    }
    when
}

/// Whether standard error is coloured.
pub(crate) fn on_stderr() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// A text as an error's first word is shown; streams that are not coloured strip it again.
pub(crate) fn bad(text: impl Display) -> String {
    format!("{ERROR}{text}{ERROR:#}")
}

/// A text as what works is shown.
pub(crate) fn good(text: impl Display) -> String {
    format!("{GOOD}{text}{GOOD:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_flag_before_the_end_of_options_counts() {
        let said = |line: &str| said(line.split(' ').map(OsString::from));
        assert_eq!(said("doctor"), When::Auto);
        assert_eq!(said("--color always doctor"), When::Always);
        assert_eq!(said("--color=always runs --color=never"), When::Never);
        assert_eq!(said("check -- --color=never"), When::Auto);
        assert_eq!(said("--color mauve"), When::Auto);
        assert_eq!(said("--color"), When::Auto);
    }
}
