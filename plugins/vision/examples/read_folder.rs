//! Reads every sample of a data set and says how long it took and how much memory was used.
//!
//! ```text
//! cargo run --release -p autoloss-vision --example read_folder -- FOLDER [times] [threads] [crop]
//! ```
//!
//! With a crop (pixels) every sample is also scaled, cropped and recoloured as for training. Samples that
//! cannot be read are named and counted. Peak memory is the kernel's `VmHWM`, on Linux alone.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use autoloss_vision::data::DataFolder;
use autoloss_vision::{AugmentConfig, FolderOptions, SegmentationFolder, Split, augment};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("usage: read_folder FOLDER [times] [threads] [crop]")?;
    let times: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let crop: Option<usize> = arguments.next().map(|text| text.parse()).transpose()?;

    let start = Instant::now();
    let set = SegmentationFolder::open(Path::new(&folder), &FolderOptions::default())?;
    let samples: Vec<(Split, usize)> = set.all().collect();
    let counts = Split::ALL.map(|split| format!("{split} {}", set.len(split)));
    println!(
        "{}: {}; opened in {:.3} s",
        set.root().display(),
        counts.join(", "),
        start.elapsed().as_secs_f64()
    );

    let jobs = Jobs {
        set: &set,
        samples: &samples,
        end: times * samples.len(),
        crop,
        next: AtomicUsize::new(0),
        pixels: AtomicUsize::new(0),
        bad: AtomicUsize::new(0),
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| jobs.work());
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} samples ({} bad), {:.1} megapixels, {seconds:.2} s with {threads} threads, {:.1} samples/s",
        jobs.end,
        jobs.bad.load(Ordering::Relaxed),
        jobs.pixels.load(Ordering::Relaxed) as f64 / 1e6,
        jobs.end as f64 / seconds
    );
    println!("peak memory {}", peak_memory());
    Ok(())
}

/// Samples that threads take one after the other.
struct Jobs<'a> {
    set: &'a SegmentationFolder,
    samples: &'a [(Split, usize)],
    end: usize,
    crop: Option<usize>,
    next: AtomicUsize,
    pixels: AtomicUsize,
    bad: AtomicUsize,
}

impl Jobs<'_> {
    fn work(&self) {
        loop {
            let job = self.next.fetch_add(1, Ordering::Relaxed);
            if job >= self.end {
                return;
            }
            let (split, index) = self.samples[job % self.samples.len()];
            let sample = self
                .set
                .sample(split, index)
                .and_then(|sample| match self.crop {
                    None => Ok(sample),
                    Some(crop) => {
                        let config = AugmentConfig {
                            crop,
                            ..AugmentConfig::default()
                        };
                        augment(&sample, &config, job as u64)
                    }
                });
            match sample {
                Ok(sample) => {
                    let pixels = sample.labels().len();
                    self.pixels.fetch_add(pixels, Ordering::Relaxed);
                }
                Err(error) => {
                    self.bad.fetch_add(1, Ordering::Relaxed);
                    eprintln!("{error}");
                }
            }
        }
    }
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}
