//! What can happen to a process, all of it, now and then.
//!
//! Which comes next is agreed upon through files in a folder, so that several processes together meet each kind.

#![allow(unsafe_code, reason = "a process that is to die")]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One call in so many meets a mishap, until there were so many.
const ONE_IN: u32 = 25;
const MISHAPS: usize = 56;

#[link(name = "stdc++")]
unsafe extern "C-unwind" {
    fn __cxa_allocate_exception(size: usize) -> *mut c_void;
    fn __cxa_throw(exception: *mut c_void, kind: *const c_void, destructor: *const c_void) -> !;
    /// What C++ knows of `int`.
    static _ZTIi: c_void;
}

/// Meets the next mishap, where chance has it.
pub(crate) fn now_and_then(folder: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let chance = now.map_or(0, |now| now.subsec_micros());
    if !chance.is_multiple_of(ONE_IN) {
        return;
    }
    let own = |number: &usize| File::create_new(folder.join(number.to_string())).is_ok();
    let Some(number) = (0..MISHAPS).find(own) else {
        return;
    };
    eprintln!("mishap {number}");
    // SAFETY: every one of these is to harm this process, and no other.
    unsafe {
        match number % 9 {
            0 => _ = libc::raise(libc::SIGKILL),
            1 => {
                // Rust's own handler, for overflowing stacks, would return.
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::raise(libc::SIGSEGV);
            }
            2 => _ = libc::raise(libc::SIGSTOP),
            3 => {
                for descriptor in 0..64 {
                    libc::close(descriptor);
                }
            }
            4 => say(b"\x01\x02 this is a progress bar\n"),
            5 => {
                say(b"{\"ended\":{\"tick");
                libc::_exit(0);
            }
            6 => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(vec![1u8; 32 << 20]);
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            7 => libc::_exit(0),
            _ => {
                let exception = __cxa_allocate_exception(size_of::<c_int>());
                exception.cast::<c_int>().write(7);
                __cxa_throw(exception, &raw const _ZTIi, std::ptr::null());
            }
        }
    }
}

/// Says something on every pipe that this process writes to, except standard error.
fn say(words: &[u8]) {
    for descriptor in 3..64 {
        let to = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        let is_pipe = to.is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"));
        // SAFETY: the system refuses a closed descriptor; the bytes outlive the call.
        unsafe {
            let mode = libc::fcntl(descriptor, libc::F_GETFL) & libc::O_ACCMODE;
            if is_pipe && mode == libc::O_WRONLY {
                libc::write(descriptor, words.as_ptr().cast(), words.len());
            }
        }
    }
}
