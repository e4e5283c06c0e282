//! Standard output: results only, whole, and without a panic where the reader has gone.
//!
//! `println!` panics when a pipe is closed, as `autoloss-host runs | head -1` does. Writing reports it
//! instead, and [`is_closed`] tells `main` that this is no failure.

use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Writes a text and, where it lacks one, a line end.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stream = anstream::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.write_all(end.as_bytes()))
        .and_then(|()| stream.flush());
    written.context("cannot write to standard output")
}

/// Writes a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Whether an error says that nobody reads standard output any more.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(kind)
}
