//! Entries of a file that cannot be used: refused, or left out and named.

use std::path::Path;

use crate::VisionError;

/// What is wrong in one file.
pub(super) struct Problems {
    skip_bad: bool,
    first: Option<String>,
    count: usize,
    /// All of them, where they are left out.
    skipped: Vec<String>,
}

impl Problems {
    pub(super) fn new(skip_bad: bool) -> Problems {
        Problems {
            skip_bad,
            first: None,
            count: 0,
            skipped: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, problem: String) {
        self.count += 1;
        if self.skip_bad {
            self.skipped.push(problem);
        } else {
            self.first.get_or_insert(problem);
        }
    }

    /// What was left out, or the error about what may not be.
    pub(super) fn finish(self, file: &Path) -> Result<Vec<String>, VisionError> {
        let Some(first) = self.first else {
            return Ok(self.skipped);
        };
        let others = match self.count {
            1 => String::new(),
            count => format!(" ({count} entries like this)"),
        };
        Err(VisionError::Folder {
            folder: file.to_owned(),
            problem: format!(
                "{first}{others}; correct the file, complete the folder or read with skip_bad"
            ),
        })
    }
}
