//! A report and its forms.

use std::path::Path;

use autoloss_run::write_whole;

use crate::content::{Content, Memory, Options};
use crate::error::ReportError;
use crate::page;

/// A report of a run, as far as the run has come.
///
/// ```
/// use autoloss_report::{Options, Report, ReportError};
///
/// let nothing = tempfile::tempdir().unwrap();
/// let refused = Report::read(nothing.path(), &Options::default());
/// assert!(matches!(refused, Err(ReportError::Store(_))));
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    content: Content,
}

impl Report {
    /// Reads a run folder, which may be in use, empty, or interrupted.
    ///
    /// # Errors
    ///
    /// [`ReportError::Store`] where it holds no run or cannot be read.
    pub fn read(run: &Path, options: &Options) -> Result<Self, ReportError> {
        let content = Content::read(run, options, &mut Memory::default())?;
        Ok(Self { content })
    }

    /// The page: one HTML file that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        page::document(&self.content, false)
    }

    /// The page's data, pictures excepted.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        // Maps with string keys and plain fields always serialise; what is no number becomes null.
        serde_json::to_value(&self.content).unwrap_or_default()
    }

    /// Writes the page so that it appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ReportError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_whole(path, &self.html()).map_err(|error| ReportError::write(path, error))
    }
}

/// The data of a run's report as JSON.
///
/// # Errors
///
/// As [`Report::read`].
pub fn summary_json(run: &Path) -> Result<serde_json::Value, ReportError> {
    Ok(Report::read(run, &Options::default())?.json())
}
