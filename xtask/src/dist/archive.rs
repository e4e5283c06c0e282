//! An archive that is the same to the last byte for the same files.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use tar::{Builder, Header};

/// What may be done with a file.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Program,
    File,
}

/// Files by their place, all in one folder.
pub(super) struct Archive {
    name: String,
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Archive {
    /// An empty archive with this folder.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: BTreeMap::new(),
        }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, place: &str, kind: Kind, bytes: Vec<u8>) {
        let mode = match kind {
            Kind::Program => 0o755,
            Kind::File => 0o644,
        };
        self.files.insert(place.to_owned(), (mode, bytes));
    }

    /// The archive, compressed; `moment` is what its files are dated.
    pub(super) fn pack(&self, moment: u64) -> Result<Vec<u8>> {
        // No name and no time in the compression's own header.
        let compressed = GzBuilder::new().write(Vec::new(), Compression::best());
        let mut builder = Builder::new(compressed);
        for (place, (mode, bytes)) in &self.files {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(*mode);
            header.set_mtime(moment);
            header.set_uid(0);
            header.set_gid(0);
            let path = format!("{}/{place}", self.name);
            builder
                .append_data(&mut header, &path, bytes.as_slice())
                .with_context(|| format!("cannot pack {path}"))?;
        }
        Ok(builder.into_inner()?.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn archive(order: [&str; 2]) -> Archive {
        let mut archive = Archive::new("a-1");
        for place in order {
            let kind = match place {
                "bin/x" => Kind::Program,
                _ => Kind::File,
            };
            archive.add(place, kind, place.as_bytes().to_vec());
        }
        archive
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let one = archive(["bin/x", "README"]).pack(5).unwrap();
        assert_eq!(one, archive(["README", "bin/x"]).pack(5).unwrap());
        assert_ne!(one, archive(["README", "bin/x"]).pack(6).unwrap());
    }

    #[test]
    fn files_are_sorted_and_nobodys() {
        let bytes = archive(["bin/x", "README"]).pack(5).unwrap();
        let mut read = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let mut found = Vec::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let (path, header) = (entry.path().unwrap().display().to_string(), entry.header());
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 5));
            found.push((path, header.mode().unwrap(), text));
        }
        let expected = [("README", 0o644), ("bin/x", 0o755)];
        let expected =
            expected.map(|(place, mode)| (format!("a-1/{place}"), mode, place.to_owned()));
        assert_eq!(found, expected);
    }
}
