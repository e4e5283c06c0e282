//! Failed calls; panics among them.
//!
//! Each library has its own copy of the standard library, so only code inside the plugin can catch
//! its panics. A hook (the plugin's own) records text, place and backtrace without printing.

use crate::error::without_backtrace;
use crate::{Error, UnknownName, brief};
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Why a call failed. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin returned an error.
    Error = 0,
    /// The plugin panicked; the object it happened in is lost.
    Panic = 1,
    /// The message was not understood.
    Protocol = 2,
}

/// A failed call.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// One line.
    pub message: String,
    /// Place and backtrace of a panic; the full text of an error.
    pub detail: String,
    /// The name that was not known, where that is the error or one of its sources.
    pub unknown: Option<Box<UnknownName>>,
}

impl Failure {
    /// A message that cannot be answered.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Protocol,
            message: message.into(),
            detail: String::new(),
            unknown: None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            kind: FailureKind::Error,
            message: brief(&*error),
            detail: format!("{error:?}"),
            unknown: unknown_name(&*error).cloned().map(Box::new),
        }
    }
}

fn unknown_name<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a UnknownName> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.filter_map(|error| error.downcast_ref()).next()
}

thread_local! {
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

static INSTALL: Once = Once::new();

/// Runs `work`; a panic in it comes back as a failure with its text and place.
pub(super) fn catch<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    INSTALL.call_once(|| panic::set_hook(Box::new(record)));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome,
        Err(payload) => {
            // A payload may panic again when it is dropped, outside of any guard.
            std::mem::forget(payload);
            let last = LAST.with(|last| last.borrow_mut().take());
            let (message, detail) = last.unwrap_or_else(|| ("no message".into(), String::new()));
            Err(Failure {
                kind: FailureKind::Panic,
                message,
                detail,
                unknown: None,
            })
        }
    }
}

fn record(info: &panic::PanicHookInfo<'_>) {
    // libtorch's own backtrace would hide the place behind it.
    let text = info.payload_as_str().unwrap_or("a panic without text");
    let text = without_backtrace(text).trim_end_matches("\\n");
    let place = info
        .location()
        .map(|place| format!(" at {place}"))
        .unwrap_or_default();
    let backtrace = Backtrace::force_capture().to_string();
    LAST.with(|last| *last.borrow_mut() = Some((format!("{text}{place}"), backtrace)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_libtorch_keeps_its_place() {
        let panics = || -> Result<(), Failure> {
            panic!("shapes differ\nException raised from mm at Blas.cpp:3\nframe #0")
        };
        let message = catch(panics).unwrap_err().message;
        let (text, place) = message.rsplit_once(" at ").unwrap();
        assert!(text.ends_with("shapes differ"), "{message}");
        assert!(place.contains("failure.rs:"), "{message}");
    }
}
