//! Log and progress share standard error: log lines are written above the bar.

use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `RUST_LOG` has the last word.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let bars = IndicatifLayer::new();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(bars.get_stderr_writer())
        .with_target(verbose > 0)
        .without_time();
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(bars)
        .init();
}

/// One line on standard error, above any bar.
pub(crate) fn line(text: &str) {
    tracing_indicatif::suspend_tracing_indicatif(|| eprintln!("{text}"));
}
