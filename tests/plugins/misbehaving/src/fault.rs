//! Which rule to break.
//!
//! A fault is `METHOD:WHAT`, or `KIND:METHOD` for what every method can do; several are separated by
//! commas. They come from the environment, because a network and a metric have no settings of their
//! own and a plugin can fail before any of its objects is made; and from the task's setting `fault`.

use autoloss_plugin_api::Result;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Names the faults.
const VARIABLE: &str = "AUTOLOSS_TEST_FAULT";
/// Names a file that is made where a method hangs, so that a test knows that it does. Taking the
/// file away lets the method go on.
const MARKER: &str = "AUTOLOSS_TEST_MARKER";

/// How often a hanging method looks for its marker: two minutes.
const PATIENCE: u32 = 12_000;

/// What every panic says.
pub(crate) const TEXT: &str = "the dog ate it";

static SETTING: Mutex<String> = Mutex::new(String::new());

/// Takes the faults of the task's setting.
pub(crate) fn choose(setting: &str) {
    setting.clone_into(&mut SETTING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Whether a fault is wanted.
pub(crate) fn is(fault: &str) -> bool {
    let variable = std::env::var(VARIABLE).unwrap_or_default();
    let setting = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    variable
        .split(',')
        .chain(setting.split(','))
        .any(|wanted| wanted == fault)
}

/// Begins a method: whatever can go wrong in any of them goes wrong here.
///
/// # Errors
/// `error:METHOD`.
pub(crate) fn strike(method: &str) -> Result<()> {
    panic_in(method);
    if is(&format!("hang:{method}")) {
        hang();
    }
    if is(&format!("abort:{method}")) {
        eprintln!("{TEXT} in {method}");
        std::process::abort();
    }
    if is(&format!("abort_once:{method}")) && begin_once() {
        std::process::abort();
    }
    if is(&format!("mishap:{method}")) {
        crate::mishap::now_and_then(&marker());
    }
    if is(&format!("error:{method}")) {
        return Err(format!("{TEXT} in {method}").into());
    }
    Ok(())
}

/// Hangs at one batch of many, so that a test meets a process in the middle of its work.
pub(crate) fn hang_at(batch: u64) {
    if is(&format!("hang_at_batch:{batch}")) {
        hang();
    }
}

/// Begins a method that cannot return an error.
pub(crate) fn panic_in(method: &str) {
    assert!(!is(&format!("panic:{method}")), "{TEXT} in {method}");
    if is(&format!("wordless:{method}")) {
        std::panic::panic_any(7_u8);
    }
    if is(&format!("bomb:{method}")) {
        std::panic::panic_any(Bomb);
    }
}

/// A panic's payload that panics itself when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // A second panic during the first would end the process whatever the boundary does.
        if !std::thread::panicking() {
            std::panic::panic_any("a bomb went off");
        }
    }
}

/// Whether nobody has made the marker yet; then it is made.
fn begin_once() -> bool {
    std::fs::File::create_new(marker()).is_ok()
}

fn marker() -> PathBuf {
    std::env::var_os(MARKER).unwrap_or_default().into()
}

/// Waits for the marker to go, but not for ever, should a test leave the process behind. Once it was let go, no other
/// process of the test hangs either.
fn hang() {
    let marker = marker();
    if marker.with_extension("released").exists() {
        return;
    }
    // Without the file the test fails by its own waiting.
    let _ = std::fs::write(&marker, "");
    for _ in 0..PATIENCE {
        if !marker.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
