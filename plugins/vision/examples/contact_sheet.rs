//! Writes a PNG of scenes beside their colour-coded masks, to be looked at.
//!
//! ```text
//! cargo run -p autoloss-vision --example contact_sheet -- sheet.png [size] [scenes a split] [seed]
//! ```
//!
//! One row of pictures and one of masks for each split: train, reward, selection, test. Boxes of visible
//! pixels are drawn into the masks in white, keypoints as dots, black where hidden.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use autoloss_vision::palette::voc_colour;
use autoloss_vision::{Scene, SceneConfig, SceneGenerator, Split};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .unwrap_or_else(|| "contact-sheet.png".to_owned());
    let size: usize = arguments.next().map_or(Ok(128), |text| text.parse())?;
    let columns: usize = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;

    let config = SceneConfig {
        size,
        ..SceneConfig::default()
    };
    let generator = SceneGenerator::embedded(config)?;
    let (width, height) = (columns * size, 2 * Split::ALL.len() * size);
    let mut sheet = vec![0; 3 * width * height];
    for (row, split) in Split::ALL.into_iter().enumerate() {
        for column in 0..columns {
            let scene = generator.scene(split, column as u64, seed);
            let corner = (column * size, 2 * row * size);
            copy(&mut sheet, width, corner, &scene.image, size);
            copy(
                &mut sheet,
                width,
                (corner.0, corner.1 + size),
                &coloured(&scene),
                size,
            );
        }
    }
    let file = BufWriter::new(File::create(&path)?);
    let mut encoder = png::Encoder::new(file, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    eprintln!("{path}: {columns} scenes of {size}x{size} of each split");
    Ok(())
}

fn copy(sheet: &mut [u8], sheet_width: usize, corner: (usize, usize), tile: &[u8], size: usize) {
    for (row, line) in tile.chunks_exact(3 * size).enumerate() {
        let start = 3 * ((corner.1 + row) * sheet_width + corner.0);
        sheet[start..start + line.len()].copy_from_slice(line);
    }
}

fn coloured(scene: &Scene) -> Vec<u8> {
    let mut picture: Vec<u8> = scene
        .classes
        .iter()
        .flat_map(|&label| voc_colour(label))
        .collect();
    let mut dot = |x: usize, y: usize, colour: [u8; 3]| {
        let start = 3 * (y * scene.width + x);
        picture[start..start + 3].copy_from_slice(&colour);
    };
    for object in &scene.objects {
        let bounds = object.bounds;
        for x in bounds.left..bounds.right {
            dot(x, bounds.top, [255; 3]);
            dot(x, bounds.bottom - 1, [255; 3]);
        }
        for y in bounds.top..bounds.bottom {
            dot(bounds.left, y, [255; 3]);
            dot(bounds.right - 1, y, [255; 3]);
        }
        for point in object.keypoints.to_array() {
            let colour = if point.visible { [255, 255, 0] } else { [0; 3] };
            for y in point.y.saturating_sub(1)..(point.y + 2).min(scene.height) {
                for x in point.x.saturating_sub(1)..(point.x + 2).min(scene.width) {
                    dot(x, y, colour);
                }
            }
        }
    }
    picture
}
