//! The plugin's log events, sent to the host. Without this bridge they would be lost: each library
//! has its own copy of tracing's global dispatcher.

use std::fmt::Write as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The levels from 1 (error) to 5 (trace).
const LEVELS: [Level; 5] = [
    Level::ERROR,
    Level::WARN,
    Level::INFO,
    Level::DEBUG,
    Level::TRACE,
];

/// The number of the least important level that this library's subscriber wants; 0 for none.
pub(super) fn wanted() -> u8 {
    let wants = |level: &&Level| **level <= LevelFilter::current();
    LEVELS.iter().filter(wants).count() as u8
}

/// Hands an event of a plugin to this library's subscriber. The target of an event is fixed at compile
/// time, so the plugin's own becomes a part of the text.
pub(super) fn emit(level: u8, plugin_target: &str, message: &str) {
    match level {
        1 => tracing::error!(target: "plugin", "{plugin_target}: {message}"),
        2 => tracing::warn!(target: "plugin", "{plugin_target}: {message}"),
        3 => tracing::info!(target: "plugin", "{plugin_target}: {message}"),
        4 => tracing::debug!(target: "plugin", "{plugin_target}: {message}"),
        _ => tracing::trace!(target: "plugin", "{plugin_target}: {message}"),
    }
}

/// Events of one library.
struct Forwarder<F> {
    sink: F,
    most: Level,
}

/// Sends this library's events up to level number `most` to `sink`.
pub(super) fn forward(sink: impl Fn(u8, &str, &str) + Send + Sync + 'static, most: u8) {
    let Some(most) = usize::from(most).checked_sub(1) else {
        return;
    };
    let most = LEVELS[most.min(LEVELS.len() - 1)];
    // A second host in the process (or a test) keeps the first bridge.
    let _ = tracing::subscriber::set_global_default(Forwarder { sink, most });
}

impl<F: Fn(u8, &str, &str) + Send + Sync + 'static> Subscriber for Forwarder<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = event.metadata().level();
        let level = LEVELS.iter().take_while(|known| *known < level).count() as u8 + 1;
        let text = line.message + &line.fields;
        (self.sink)(level, event.metadata().target(), &text);
    }

    // Spans are not forwarded: the host's own spans tell which call is under way.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

/// The message, then the other fields as ` name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
