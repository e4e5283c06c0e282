//! What a person sees: lines, tables, colours, progress, messages.

pub(crate) mod bar;
pub(crate) mod color;
pub(crate) mod hint;
pub(crate) mod line;
pub(crate) mod logging;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod samples;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod workers;
