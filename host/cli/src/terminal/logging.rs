//! Log and progress share standard error: lines are written above the bars.

use crate::terminal::color;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use std::io::{self, Write};
use std::sync::LazyLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Every bar that is on the screen.
static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

/// Starts the log. `RUST_LOG` has the last word.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| AboveBars)
        .with_ansi(color::on_stderr())
        .with_target(verbose > 0)
        .without_time();
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
}

/// One line on standard error, above any bar.
pub(crate) fn line(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(AboveBars, "{text}");
}

/// The line that ends a command that failed.
pub(crate) fn failure(message: &str) {
    line(&format!("{} {message}", color::bad("error:")));
}

/// Puts a bar on the screen.
pub(crate) fn show(bar: ProgressBar) -> ProgressBar {
    BARS.add(bar)
}

/// Standard error while no bar is drawn.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| anstream::stderr().lock().write_all(text))?;
        Ok(text.len())
    }

    /// All of a line at once, where it comes in parts.
    fn write_fmt(&mut self, parts: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(parts.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
