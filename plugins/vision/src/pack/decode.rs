//! From the pack's files to items and regions.

use std::io::Cursor;

use super::files::PackFiles;
use super::manifest::{Background, Manifest, damaged};
use super::{ITEM_SIDE, Item, Pack, Region};
use crate::{Split, VisionError};

/// Empty pixels around a tile.
const MARGIN: usize = 2;

/// A decoded picture with one or three bytes a pixel.
struct Sheet {
    width: usize,
    height: usize,
    channels: usize,
    bytes: Vec<u8>,
}

pub(super) fn pack(files: &PackFiles) -> Result<Pack, VisionError> {
    let manifest = Manifest::parse(files.manifest)?;
    let items = decode_items(
        &manifest,
        &read_png("items.png", files.items)?,
        &read_png("masks.png", files.masks)?,
    )?;
    let mut regions = Vec::with_capacity(4 * manifest.backgrounds.len());
    for background in &manifest.backgrounds {
        let found = files
            .backgrounds
            .iter()
            .find(|(file, _)| *file == background.file);
        let (file, bytes) =
            found.ok_or_else(|| damaged(format!("no file {:?}", background.file)))?;
        regions.extend(cut_regions(background, file, &read_png(file, bytes)?)?);
    }
    let class_names = std::iter::once("background".to_owned())
        .chain(manifest.classes)
        .collect();
    Pack::assemble(class_names, items, regions)
}

fn read_png(file: &str, bytes: &[u8]) -> Result<Sheet, VisionError> {
    let problem = |error: png::DecodingError| VisionError::Pack {
        file: file.to_owned(),
        problem: error.to_string(),
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Brings 1-bit masks to bytes 0 and 255.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(problem)?;
    let size = reader.output_buffer_size().unwrap_or(0);
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(problem)?;
    let channels = match (info.color_type, info.bit_depth) {
        (png::ColorType::Grayscale, png::BitDepth::Eight) => 1,
        (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
        (color, depth) => {
            return Err(VisionError::Pack {
                file: file.to_owned(),
                problem: format!("{color:?} at {depth:?} bits, expected 8-bit grey or RGB"),
            });
        }
    };
    let (width, height) = (info.width as usize, info.height as usize);
    bytes.truncate(info.buffer_size());
    Ok(Sheet {
        width,
        height,
        channels,
        bytes,
    })
}

fn decode_items(
    manifest: &Manifest,
    grey: &Sheet,
    masks: &Sheet,
) -> Result<Vec<Item>, VisionError> {
    let tile = manifest.tile;
    let rows = manifest.items.len().div_ceil(manifest.tiles_per_row);
    let expected = (manifest.tiles_per_row * tile, rows * tile, 1);
    for (file, picture) in [("items.png", grey), ("masks.png", masks)] {
        let found = (picture.width, picture.height, picture.channels);
        if found != expected {
            let problem = format!("width, height, channels are {found:?}, expected {expected:?}");
            return Err(VisionError::Pack {
                file: file.to_owned(),
                problem,
            });
        }
    }
    let mut items = Vec::with_capacity(manifest.items.len());
    for (index, row) in manifest.items.iter().enumerate() {
        let split = Split::ALL.get(row.1).copied();
        let (Some(split), true) = (split, row.0 < manifest.classes.len()) else {
            return Err(damaged(format!(
                "item {index} has class {} and split {}",
                row.0, row.1
            )));
        };
        let left = tile * (index % manifest.tiles_per_row);
        let top = tile * (index / manifest.tiles_per_row);
        let mask = padded_tile(masks, left, top, tile);
        if mask.iter().all(|&value| value == 0) {
            let problem = format!(
                "the mask of item {index} (number {} of {}) is empty",
                row.3, row.2
            );
            return Err(VisionError::Pack {
                file: "masks.png".to_owned(),
                problem,
            });
        }
        let mut grey = padded_tile(grey, left, top, tile);
        bleed(&mut grey, &mask);
        // At most 254 classes, checked with the manifest.
        let class = row.0 as u8 + 1;
        items.push(Item {
            class,
            split,
            grey,
            mask,
        });
    }
    Ok(items)
}

/// The tile at (left, top) with an empty margin around it.
fn padded_tile(sheet: &Sheet, left: usize, top: usize, tile: usize) -> Vec<u8> {
    let mut plane = vec![0; ITEM_SIDE * ITEM_SIDE];
    for row in 0..tile {
        let source = (top + row) * sheet.width + left;
        let target = (row + MARGIN) * ITEM_SIDE + MARGIN;
        plane[target..target + tile].copy_from_slice(&sheet.bytes[source..source + tile]);
    }
    plane
}

/// Spreads the item's grey values two pixels outwards, each new pixel the mean of its known neighbours.
fn bleed(grey: &mut [u8], mask: &[u8]) {
    let mut known: Vec<bool> = mask.iter().map(|&value| value != 0).collect();
    for _ in 0..MARGIN {
        let before = known.clone();
        for y in 0..ITEM_SIDE {
            for x in 0..ITEM_SIDE {
                let here = y * ITEM_SIDE + x;
                if before[here] {
                    continue;
                }
                let (mut sum, mut count) = (0u32, 0u32);
                for ny in y.saturating_sub(1)..(y + 2).min(ITEM_SIDE) {
                    for nx in x.saturating_sub(1)..(x + 2).min(ITEM_SIDE) {
                        let there = ny * ITEM_SIDE + nx;
                        if before[there] {
                            sum += u32::from(grey[there]);
                            count += 1;
                        }
                    }
                }
                if let Some(mean) = (sum + count / 2).checked_div(count) {
                    grey[here] = mean as u8;
                    known[here] = true;
                }
            }
        }
    }
}

fn cut_regions(
    background: &Background,
    file: &str,
    sheet: &Sheet,
) -> Result<Vec<Region>, VisionError> {
    let (width, height) = (background.width, background.height);
    if sheet.width != 2 * width || sheet.height != 2 * height || width.min(height) < 2 {
        let problem = format!(
            "{}x{} pixels, expected twice {width}x{height}",
            sheet.width, sheet.height
        );
        return Err(VisionError::Pack {
            file: file.to_owned(),
            problem,
        });
    }
    let cut = |(number, split): (usize, Split)| {
        let (left, top) = (width * (number % 2), height * (number / 2));
        let mut pixels = Vec::with_capacity(3 * width * height);
        for row in top..top + height {
            let start = row * sheet.width + left;
            let line = &sheet.bytes[start * sheet.channels..(start + width) * sheet.channels];
            if sheet.channels == 3 {
                pixels.extend_from_slice(line);
            } else {
                pixels.extend(line.iter().flat_map(|&value| [value; 3]));
            }
        }
        Region {
            photograph: background.name.clone(),
            split,
            grey: sheet.channels == 1,
            width,
            height,
            pixels,
        }
    };
    Ok(Split::ALL.into_iter().enumerate().map(cut).collect())
}

#[cfg(test)]
mod tests {
    use super::super::files::EMBEDDED;
    use super::*;

    fn refused(files: &PackFiles) -> String {
        pack(files).unwrap_err().to_string()
    }

    /// The manifest with one piece of text replaced; leaked, as the files are static.
    fn manifest(from: &str, to: &str) -> PackFiles {
        let text = String::from_utf8(EMBEDDED.manifest.to_vec()).unwrap();
        assert!(text.contains(from), "{from}");
        PackFiles {
            manifest: text.replacen(from, to, 1).leak().as_bytes(),
            ..EMBEDDED.clone()
        }
    }

    #[test]
    fn items_and_regions_are_complete() {
        let pack = pack(&EMBEDDED).unwrap();
        assert_eq!(pack.items().len(), 2000);
        assert_eq!(pack.regions().len(), 40);
        assert_eq!(pack.class_names().len(), 11);
        for (split, per_class) in Split::ALL.into_iter().zip([100, 30, 30, 40]) {
            let members = pack.members(split);
            assert!(
                members
                    .items_of_class
                    .iter()
                    .all(|items| items.len() == per_class)
            );
            assert_eq!(members.regions.len(), 10);
        }
        assert_eq!(
            pack.regions()
                .iter()
                .filter(|region| region.is_grey())
                .count(),
            16
        );
    }

    #[test]
    fn masks_are_one_piece_of_reasonable_size_with_grey_values_around_them() {
        for item in pack(&EMBEDDED).unwrap().items() {
            let area = item.mask().iter().filter(|&&value| value == 255).count();
            assert!(area >= 120 && item.mask().iter().all(|&value| value == 0 || value == 255));
            for (index, &value) in item.mask().iter().enumerate() {
                let (x, y) = (index % ITEM_SIDE, index / ITEM_SIDE);
                let margin =
                    x < MARGIN || y < MARGIN || x >= ITEM_SIDE - MARGIN || y >= ITEM_SIDE - MARGIN;
                assert!(value == 0 || !margin);
            }
        }
    }

    #[test]
    fn values_spread_outwards_by_two_pixels() {
        let (mut grey, mut mask) = (
            vec![0; ITEM_SIDE * ITEM_SIDE],
            vec![0; ITEM_SIDE * ITEM_SIDE],
        );
        let at = |x: usize, y: usize| y * ITEM_SIDE + x;
        (grey[at(10, 10)], mask[at(10, 10)]) = (80, 255);
        (grey[at(11, 10)], mask[at(11, 10)]) = (101, 255);
        bleed(&mut grey, &mask);
        assert_eq!(grey[at(9, 10)], 80);
        assert_eq!(grey[at(10, 9)], 91);
        assert_eq!(grey[at(8, 10)], 80);
        assert_eq!(grey[at(7, 10)], 0);
        assert_eq!((grey[at(10, 10)], grey[at(11, 10)]), (80, 101));
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let cut = PackFiles {
            masks: &EMBEDDED.masks[..2000],
            ..EMBEDDED.clone()
        };
        assert!(refused(&cut).contains("masks.png"));
        let swapped = PackFiles {
            items: EMBEDDED.backgrounds[0].1,
            ..EMBEDDED.clone()
        };
        assert!(refused(&swapped).contains("items.png"));
        let text = PackFiles {
            items: b"not a picture",
            ..EMBEDDED.clone()
        };
        assert!(refused(&text).contains("items.png"));
        let mut backgrounds = EMBEDDED.backgrounds;
        backgrounds[4].1 = EMBEDDED.backgrounds[5].1;
        assert!(
            refused(&PackFiles {
                backgrounds,
                ..EMBEDDED.clone()
            })
            .contains("background-coffee.png")
        );
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_refused() {
        for (from, to, expected) in [
            ("\"schema\": 1", "\"schema\": 2", "schema 2"),
            ("\"tile\": 28", "\"tile\": 27", "tiles of 27 pixels"),
            ("\"reward\",", "\"rewards\",", "splits"),
            ("[0,0,\"train\"", "[10,0,\"train\"", "class 10"),
            ("[0,0,\"train\"", "[0,4,\"train\"", "split 4"),
            (
                "\"background-brick.png\",\n      \"width\"",
                "\"brick.png\",\n      \"width\"",
                "no file",
            ),
            ("\"tile\": 28,", "", "missing field `tile`"),
        ] {
            let message = refused(&manifest(from, to));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_split_without_an_item_of_a_class_is_refused() {
        let whole = pack(&EMBEDDED).unwrap();
        let items = whole
            .items()
            .iter()
            .filter(|item| (item.class, item.split) != (6, Split::Reward));
        let error = Pack::assemble(
            whole.class_names().to_vec(),
            items.cloned().collect(),
            whole.regions().to_vec(),
        );
        let message = error.unwrap_err().to_string();
        assert_eq!(
            message,
            "the pack's reward split has no item of class \"sandal\""
        );
        let regions = whole
            .regions()
            .iter()
            .filter(|region| region.split != Split::Test);
        let error = Pack::assemble(
            whole.class_names().to_vec(),
            whole.items().to_vec(),
            regions.cloned().collect(),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "the pack's test split has no background"
        );
    }
}
