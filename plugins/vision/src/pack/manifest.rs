//! `pack.json`, as far as decoding needs it; the rest is provenance for people.

use serde::Deserialize;

use crate::VisionError;

/// The file's name in messages.
pub(super) const FILE: &str = "pack.json";

/// The manifest version this code reads.
const SCHEMA: u32 = 1;

#[derive(Deserialize)]
pub(super) struct Manifest {
    schema: u32,
    pub(super) tile: usize,
    pub(super) tiles_per_row: usize,
    pub(super) classes: Vec<String>,
    splits: Vec<String>,
    pub(super) backgrounds: Vec<Background>,
    pub(super) items: Vec<ItemRow>,
}

/// One photograph's sheet: four regions of `width` by `height`, two by two, in the order of the splits.
#[derive(Deserialize)]
pub(super) struct Background {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Class (from 0), split, source file and index in it.
#[derive(Deserialize)]
pub(super) struct ItemRow(
    pub(super) usize,
    pub(super) usize,
    pub(super) String,
    pub(super) u32,
);

impl Manifest {
    pub(super) fn parse(json: &[u8]) -> Result<Manifest, VisionError> {
        let manifest: Manifest =
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        if manifest.schema != SCHEMA {
            return Err(damaged(format!(
                "schema {}, expected {SCHEMA}",
                manifest.schema
            )));
        }
        let order = crate::Split::ALL.map(crate::Split::name);
        if manifest.splits != order {
            return Err(damaged(format!(
                "splits {:?}, expected {order:?}",
                manifest.splits
            )));
        }
        if manifest.tile != super::ITEM_SIDE - 4 || manifest.tiles_per_row == 0 {
            let (tile, row) = (manifest.tile, manifest.tiles_per_row);
            return Err(damaged(format!("{row} tiles of {tile} pixels a row")));
        }
        if manifest.classes.is_empty() || manifest.classes.len() > 254 {
            return Err(damaged(format!("{} classes", manifest.classes.len())));
        }
        Ok(manifest)
    }
}

pub(super) fn damaged(problem: String) -> VisionError {
    VisionError::Pack {
        file: FILE.to_owned(),
        problem,
    }
}
