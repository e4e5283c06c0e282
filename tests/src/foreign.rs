//! Libraries that are no plugins of ours, or of another time: compiled when a test needs them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the record of a plugin begins with.
const MAGIC: &[u8] = b"AUTOLOSS";
/// Length of the record in bytes, frozen.
const LENGTH: usize = 312;

/// The record by which a library says what it was built for, to be changed at will. Offsets as the
/// plugin interface has frozen them.
#[derive(Clone, Debug)]
pub struct Record([u8; LENGTH]);

impl Record {
    /// The record of a real plugin, read out of its file.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn of(library: &Path) -> Self {
        let bytes = std::fs::read(library).unwrap();
        let begins =
            |window: &&[u8]| window.starts_with(MAGIC) && window[8..12] == le(LENGTH as u32);
        let found = bytes
            .windows(LENGTH)
            .find(begins)
            .expect("a plugin holds its record");
        Self(found.try_into().unwrap())
    }

    /// With other first bytes.
    #[must_use]
    pub fn with_magic(mut self, magic: [u8; 8]) -> Self {
        self.0[..8].copy_from_slice(&magic);
        self
    }

    /// With another length of its own.
    #[must_use]
    pub fn with_length(self, length: u32) -> Self {
        self.with_number(8, length)
    }

    /// With another version of the plugin interface.
    #[must_use]
    pub fn with_interface(self, major: u32, minor: u32) -> Self {
        self.with_number(12, major).with_number(16, minor)
    }

    /// As of a plugin whose panics end the process.
    #[must_use]
    pub fn with_aborting_panics(self) -> Self {
        self.with_number(20, 0)
    }

    /// With another name.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        self.with_text(56, 64, name)
    }

    /// Built for another machine.
    #[must_use]
    pub fn with_target(self, target: &str) -> Self {
        self.with_text(216, 64, target)
    }

    /// Built for another libtorch.
    #[must_use]
    pub fn with_libtorch(self, version: &str) -> Self {
        self.with_text(280, 32, version)
    }

    fn with_number(mut self, at: usize, number: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&le(number));
        self
    }

    fn with_text(mut self, at: usize, room: usize, text: &str) -> Self {
        self.0[at..at + room].fill(0);
        self.0[at..at + text.len()].copy_from_slice(text.as_bytes());
        self
    }

    /// A library that holds this record, and nothing else of a plugin.
    #[must_use]
    pub fn compile(&self, folder: &Path, name: &str) -> PathBuf {
        let mut values = String::new();
        for byte in self.0 {
            write!(values, "{byte},").unwrap();
        }
        compile(
            folder,
            name,
            &format!("const unsigned char AUTOLOSS_PREFLIGHT[] = {{{values}}};\n"),
        )
    }
}

fn le(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

/// A library of a source in C.
///
/// # Panics
/// Without a C compiler, which linking Rust programs needs anyway.
#[must_use]
pub fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (input, output) = (
        folder.join(format!("{name}.c")),
        folder.join(format!("lib{name}.so")),
    );
    std::fs::write(&input, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&output).arg(&input);
    let ended = cc.output().expect("a C compiler is installed as cc");
    assert!(
        ended.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    output
}
