//! The progress of passes over samples and files.

use crate::terminal::bar::{Display, Lines, clock};
use crate::terminal::line::Part;
use autoloss_plugin_api::Split;
use std::time::Instant;

/// Watches passes over splits, one after the other.
pub(crate) struct SampleProgress {
    display: Option<(Split, Display, Instant)>,
    began: Instant,
}

impl Default for SampleProgress {
    fn default() -> Self {
        Self {
            display: None,
            began: Instant::now(),
        }
    }
}

impl SampleProgress {
    /// So many of the samples of a split are done.
    pub(crate) fn at(&mut self, split: Split, done: u64, of: u64) {
        if self
            .display
            .as_ref()
            .is_none_or(|(known, ..)| *known != split)
        {
            self.finish();
            self.display = Some((split, Display::new(of), Instant::now()));
        }
        if let Some((_, display, started)) = &mut self.display {
            let each = started.elapsed().as_secs_f64() / done.max(1) as f64;
            display.draw(done, || lines(split, done, of, each));
        }
    }

    /// Takes it off the screen. Seconds since the beginning.
    pub(crate) fn finish(&mut self) -> f64 {
        if let Some((_, display, _)) = self.display.take() {
            display.finish();
        }
        self.began.elapsed().as_secs_f64()
    }
}

/// `each` is the time of a sample.
fn lines(split: Split, done: u64, of: u64, each: f64) -> Lines {
    let left = clock(each * of.saturating_sub(done) as f64);
    let headline = vec![
        Part::new(1, format!("{left} left")),
        Part::new(0, format!("sample {done} of {of}")),
    ];
    [
        headline,
        vec![Part::new(0, format!("features of split {split}"))],
    ]
}

/// Watches how files are read.
#[derive(Default)]
pub(crate) struct FileProgress(Option<(Display, Instant)>);

impl FileProgress {
    /// So many of the files are done.
    pub(crate) fn at(&mut self, done: usize, of: usize) {
        let begin = || (Display::new(of as u64), Instant::now());
        let (display, started) = self.0.get_or_insert_with(begin);
        let each = started.elapsed().as_secs_f64() / done.max(1) as f64;
        display.draw(done as u64, || {
            let left = clock(each * of.saturating_sub(done) as f64);
            [
                vec![
                    Part::new(1, format!("{left} left")),
                    Part::new(0, format!("file {done} of {of}")),
                ],
                vec![Part::new(0, "fingerprints of the data, once".to_owned())],
            ]
        });
    }

    /// Takes it off the screen.
    pub(crate) fn finish(&self) {
        if let Some((display, _)) = &self.0 {
            display.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::bar::compose;

    #[test]
    fn the_time_left_is_that_of_the_samples_left() {
        let (_, [first, second]) = compose(lines(Split::Train, 30, 90, 0.5), 79);
        assert_eq!(first, "0:30 left  sample 30 of 90");
        assert_eq!(second, "features of split train");
    }
}
