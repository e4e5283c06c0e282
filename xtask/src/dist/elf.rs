//! What a packaged program or library needs of the machine that it is started on.

use anyhow::{Result, bail};
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader64};
use object::read::elf::{Dyn, ElfFile};
use object::{Endianness, StringTable};
use std::fmt;

/// Libraries that may be needed: libtorch without its CUDA part, which is opened where it is installed,
/// and what every Linux with a C++ library has.
const ALLOWED: [&str; 9] = [
    "libtorch_cpu.so",
    "libc10.so",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "libc.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "ld-linux-x86-64.so.2",
];

type File<'a> = ElfFile<'a, FileHeader64<Endianness>>;

/// The newest versions that anything needs.
#[derive(Default)]
pub(super) struct Needs {
    glibc: Vec<u32>,
    cxx: Vec<u32>,
}

impl Needs {
    /// Takes in what a file needs; refuses a run path, and libraries that may be missing.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let file = File::parse(bytes)?;
        for (tag, text) in entries(&file, bytes)? {
            match tag {
                DT_NEEDED if !ALLOWED.contains(&text.as_str()) => bail!("it needs {text}"),
                DT_RPATH | DT_RUNPATH => bail!("it has the run path {text}"),
                _ => {}
            }
        }
        for name in versions(&file, bytes)? {
            self.note(&name);
        }
        Ok(())
    }

    fn note(&mut self, name: &str) {
        for (prefix, newest) in [("GLIBC_", &mut self.glibc), ("GLIBCXX_", &mut self.cxx)] {
            let numbers = name.strip_prefix(prefix).map(|version| version.split('.'));
            let parsed = numbers.and_then(|numbers| numbers.map(|n| n.parse().ok()).collect());
            if let Some(version) = parsed
                && version > *newest
            {
                *newest = version;
            }
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dotted = |version: &[u32]| {
            let numbers: Vec<String> = version.iter().map(ToString::to_string).collect();
            numbers.join(".")
        };
        write!(
            f,
            "glibc {} and libstdc++ with GLIBCXX_{} or newer",
            dotted(&self.glibc),
            dotted(&self.cxx)
        )
    }
}

/// The dynamic section's texts with their tags.
fn entries(file: &File<'_>, bytes: &[u8]) -> Result<Vec<(u32, String)>> {
    let (endian, sections) = (file.endian(), file.elf_section_table());
    let Some((entries, strings)) = sections.dynamic(endian, bytes)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, bytes, strings)?;
    let mut found = Vec::new();
    for entry in entries {
        if let Some(tag) = entry.tag32(endian)
            && entry.is_string(endian)
        {
            found.push((tag, text(entry.string(endian, strings)?)));
        }
    }
    Ok(found)
}

/// The versions of symbols that are needed.
fn versions(file: &File<'_>, bytes: &[u8]) -> Result<Vec<String>> {
    let (endian, sections) = (file.endian(), file.elf_section_table());
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, bytes)? else {
        return Ok(Vec::new());
    };
    let strings: StringTable<'_> = sections.strings(endian, bytes, strings)?;
    let mut found = Vec::new();
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            found.push(text(version.name(endian, strings)?));
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let mut needs = Needs::default();
        for name in [
            "GLIBC_2.9",
            "GLIBC_2.34",
            "GLIBC_PRIVATE",
            "GLIBCXX_3.4.30",
            "GLIBCXX_3.4",
        ] {
            needs.note(name);
        }
        let text = needs.to_string();
        assert_eq!(
            text,
            "glibc 2.34 and libstdc++ with GLIBCXX_3.4.30 or newer"
        );
    }

    #[test]
    fn a_program_of_this_machine_is_understood() {
        // This test itself needs what every Rust program needs.
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut needs = Needs::default();
        needs.add(&program).unwrap();
        assert!(needs.glibc > vec![2, 2], "{:?}", needs.glibc);
        let file = File::parse(program.as_slice()).unwrap();
        let entries = entries(&file, &program).unwrap();
        assert!(entries.contains(&(DT_NEEDED, "libc.so.6".to_owned())));
    }

    #[test]
    fn what_is_no_elf_is_refused() {
        assert!(Needs::default().add(b"#!/bin/sh\n").is_err());
    }
}
