//! The background of a scene: a window of a region, resampled, mirrored and recoloured.

use crate::draw::Draws;
use crate::pack::Region;

/// Side of the window relative to the canvas, where the region is large enough. Close to 1, so that
/// bilinear sampling neither blurs nor aliases much.
const WINDOW: (f32, f32) = (0.75, 1.25);

/// Where an output pixel lies between two source pixels: the first and the weight of the second in
/// 256ths.
struct LineTap {
    first: usize,
    second: usize,
    weight: u32,
}

/// RGB bytes of a `size` by `size` picture.
pub(super) fn render(region: &Region, size: usize, tint: f32, draws: &mut Draws) -> Vec<u8> {
    let short = region.width.min(region.height) as f32;
    let largest = (size as f32 * WINDOW.1).min(short);
    let smallest = (size as f32 * WINDOW.0).min(largest);
    let window = draws.range(smallest, largest);
    let left = draws.range(0.0, region.width as f32 - window);
    let top = draws.range(0.0, region.height as f32 - window);
    let mut columns = taps(left, window, size, region.width);
    let rows = taps(top, window, size, region.height);
    if draws.coin() {
        columns.reverse();
    }
    let tables = recolouring(region.grey, tint, draws);
    let mut image = Vec::with_capacity(3 * size * size);
    for row in &rows {
        let upper = &region.pixels[3 * row.first * region.width..][..3 * region.width];
        let lower = &region.pixels[3 * row.second * region.width..][..3 * region.width];
        for column in &columns {
            for (channel, table) in tables.iter().enumerate() {
                let (a, b) = (3 * column.first + channel, 3 * column.second + channel);
                let above = mix(upper[a], upper[b], column.weight);
                let below = mix(lower[a], lower[b], column.weight);
                let value = (above * (256 - row.weight) + below * row.weight + 32_768) >> 16;
                image.push(table[value as usize]);
            }
        }
    }
    image
}

fn mix(first: u8, second: u8, weight: u32) -> u32 {
    u32::from(first) * (256 - weight) + u32::from(second) * weight
}

/// Bilinear taps of `size` pixels spread over a window, clamped to the region's `limit` pixels.
fn taps(start: f32, window: f32, size: usize, limit: usize) -> Vec<LineTap> {
    let step = window / size as f32;
    let tap = |index: usize| {
        let position = (start + (index as f32 + 0.5) * step - 0.5).max(0.0);
        let first = (position as usize).min(limit - 1);
        let weight = ((position - first as f32) * 256.0) as u32;
        LineTap {
            first,
            second: (first + 1).min(limit - 1),
            weight: weight.min(256),
        }
    };
    (0..size).map(tap).collect()
}

/// A table for each channel: a common brightness and a gain of its own. Grey photographs are coloured
/// as strongly as items are, or colour alone would tell an item from half of the backgrounds.
fn recolouring(grey: bool, tint: f32, draws: &mut Draws) -> [[u8; 256]; 3] {
    let strength = if grey { tint } else { 0.3 * tint };
    let brightness = draws.range(0.75, 1.2);
    let lift = draws.range(0.0, 40.0);
    std::array::from_fn(|_| {
        let gain = brightness * (1.0 - strength * draws.unit());
        std::array::from_fn(|value| (value as f32 * gain + lift).min(255.0) as u8)
    })
}
