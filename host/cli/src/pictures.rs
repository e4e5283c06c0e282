//! Example predictions of a run, as PNG files in its folder.
//!
//! They are for people, and are drawn when everything else is done. Whatever keeps them from being drawn or written
//! is a warning: the scores beside them took hours.

use anyhow::{Context, Result};
use autoloss_plugin_api::Split;
use autoloss_run::{PictureIndex, PictureRow};
use autoloss_train::{Network, Picture, Workbench};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

/// Samples that are drawn, evenly over the split.
const SAMPLES: u64 = 6;

/// Trained networks by name, to be asked for their predictions.
#[derive(Default)]
pub(crate) struct Album {
    networks: Vec<(String, Network)>,
}

impl Album {
    /// Keeps a network; of several of one name the first.
    pub(crate) fn keep(&mut self, name: &str, network: Network) {
        if self.networks.iter().all(|(known, _)| known != name) {
            self.networks.push((name.to_owned(), network));
        }
    }

    /// Whether it has a network of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.networks.iter().any(|(known, _)| known == name)
    }

    /// Draws samples of a split with every network's predictions into a run folder.
    pub(crate) fn write(&self, workbench: &Workbench, split: Split, run: &Path) {
        if let Err(error) = self.draw(workbench, split, run) {
            tracing::warn!("the example predictions are not whole: {error:#}");
        }
    }

    fn draw(&self, workbench: &Workbench, split: Split, run: &Path) -> Result<()> {
        let folder = PictureIndex::folder(run);
        let mut index = PictureIndex {
            split: split.name().to_owned(),
            ..PictureIndex::default()
        };
        let len = workbench.len(split)?;
        let count = len.min(SAMPLES);
        for number in 0..count {
            let sample = number * len / count;
            let (loaded, pictures) = workbench.sample(split, sample)?;
            if pictures.is_empty() {
                return Ok(());
            }
            let titles = pictures.iter().map(|picture| picture.title.clone());
            let names = self.networks.iter().map(|(name, _)| name.clone());
            index.columns = titles.chain(names).collect();
            let mut pictures: Vec<_> = pictures.into_iter().map(Some).collect();
            for (_, network) in &self.networks {
                pictures.push(workbench.predicted(network, &loaded)?.into_iter().next());
            }
            index.rows.push(written(&folder, sample, &pictures)?);
        }
        Ok(index.write(run)?)
    }
}

fn written(folder: &Path, sample: u64, pictures: &[Option<Picture>]) -> Result<PictureRow> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut row = PictureRow {
        sample: sample.into(),
        ..PictureRow::default()
    };
    for (column, picture) in pictures.iter().enumerate() {
        let Some(picture) = picture else {
            row.files.push(None);
            row.captions.push(None);
            continue;
        };
        let name = format!("{sample}-{column}.png");
        write_png(&folder.join(&name), picture)?;
        row.files.push(Some(name));
        row.captions.push(Some(picture.title.clone()));
    }
    Ok(row)
}

fn write_png(path: &Path, picture: &Picture) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let file = BufWriter::new(File::create(path).with_context(cannot)?);
    let mut encoder = png::Encoder::new(file, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().with_context(cannot)?;
    writer.write_image_data(&picture.rgb).with_context(cannot)?;
    writer.finish().with_context(cannot)
}
