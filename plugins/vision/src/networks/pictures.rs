//! Pictures for people: images as a network sees them, with label maps or boxes drawn over them.
//!
//! Colours are PASCAL VOC's, so that a class has the one that viewers of such files know.

use super::normalisation::{DEVIATION, MEAN};
use crate::palette::voc_palette;
use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// The weight of a label's colour over the picture.
const OVER: f64 = 0.65;

/// The bytes of images (N, 3, H, W) that a task normalised. A single image is cut to its picture, the rows and
/// columns in `size` (N, 2).
///
/// # Errors
/// libtorch's own.
pub fn shown(image: &Tensor, size: &Tensor) -> Result<Tensor> {
    let bytes = image.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let bytes = bytes
        .f_mul_scalar(f64::from(DEVIATION))?
        .f_add_scalar(f64::from(MEAN))?
        .f_round()?
        .f_clamp(0.0, 255.0)?;
    cropped(&bytes.f_to_kind(Kind::Uint8)?, size)
}

/// Pictures (N, 3, H, W) of bytes with label maps (N, H', W') over them, cut to H×W at the upper left. The
/// background, 0, only darkens the picture.
///
/// # Errors
/// Maps that are smaller than the pictures, or libtorch's own.
pub fn labelled(picture: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (height, width) = (picture.size()[2], picture.size()[3]);
    let labels = labels
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Int64)?
        .f_narrow(1, 0, height)?
        .f_narrow(2, 0, width)?
        .f_clamp(0i64, 255i64)?;
    let colours = Tensor::f_from_slice(&voc_palette())?.f_view([256, 3])?;
    let colours = colours
        .f_index_select(0, &labels.f_contiguous()?.f_view(-1i64)?)?
        .f_view([-1, height, width, 3])?
        .f_permute([0, 3, 1, 2])?;
    let mixed = picture.f_to_kind(Kind::Float)?.f_mul_scalar(1.0 - OVER)?
        + colours.f_to_kind(Kind::Float)?.f_mul_scalar(OVER)?;
    Ok(mixed.f_to_kind(Kind::Uint8)?)
}

/// A box to draw: its class, and left, top, right and bottom in pixels.
pub type Outline = (i64, [f32; 4]);

/// Pictures (N, 3, H, W) of bytes with the outlines of boxes, a list for each. What lies outside of a picture is
/// not drawn.
///
/// # Errors
/// libtorch's own.
pub fn outlined(picture: &Tensor, boxes: &[Vec<Outline>]) -> Result<Tensor> {
    let drawn = picture.f_contiguous()?.f_detach_copy()?.f_contiguous()?;
    let (height, width) = (picture.size()[2], picture.size()[3]);
    let palette = voc_palette();
    for (number, outlines) in boxes.iter().enumerate() {
        let planes = drawn.f_get(number as i64)?;
        for (class, corners) in outlines {
            let edge = |at: f32, side: i64| (at.round() as i64).clamp(0, side - 1);
            let [left, right] = [corners[0], corners[2]].map(|x| edge(x, width));
            let [top, bottom] = [corners[1], corners[3]].map(|y| edge(y, height));
            if left > right || top > bottom {
                continue;
            }
            let colour = 3 * usize::try_from(*class).unwrap_or(0).min(255);
            for (channel, value) in palette[colour..colour + 3].iter().enumerate() {
                let plane = planes.f_get(channel as i64)?;
                let across = |y: i64| plane.f_get(y)?.f_narrow(0, left, right - left + 1);
                let down = |x: i64| {
                    let rows = plane.f_narrow(0, top, bottom - top + 1)?;
                    rows.f_select(1, x)
                };
                for line in [across(top)?, across(bottom)?, down(left)?, down(right)?] {
                    let _ = line.shallow_clone().f_fill_(i64::from(*value))?;
                }
            }
        }
    }
    Ok(drawn)
}

/// A single picture without its canvas; several as they are.
fn cropped(pictures: &Tensor, size: &Tensor) -> Result<Tensor> {
    if pictures.size()[0] != 1 {
        return Ok(pictures.shallow_clone());
    }
    let side = |axis: i64| -> Result<i64> {
        let whole = pictures.size()[axis as usize + 2];
        let own = size.f_int64_value(&[0, axis])?;
        Ok(if (1..=whole).contains(&own) {
            own
        } else {
            whole
        })
    };
    let rows = pictures.f_narrow(2, 0, side(0)?)?;
    Ok(rows.f_narrow(3, 0, side(1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(tensor: &Tensor) -> Vec<u8> {
        Vec::try_from(tensor.contiguous().view(-1)).unwrap()
    }

    #[test]
    fn images_come_back_as_the_bytes_they_were() {
        let was = Tensor::arange(48, (Kind::Float, Device::Cpu)).view([1, 3, 4, 4]) * 5.0;
        let image = (&was - f64::from(MEAN)) / f64::from(DEVIATION);
        let whole = Tensor::from_slice(&[4i64, 4]).view([1, 2]);
        let expected: Vec<u8> = (0..48).map(|value| value * 5).collect();
        assert_eq!(bytes(&shown(&image, &whole).unwrap()), expected);
        let part = Tensor::from_slice(&[2i64, 3]).view([1, 2]);
        assert_eq!(shown(&image, &part).unwrap().size(), [1, 3, 2, 3]);
        // A picture that could not be read has no size.
        let none = Tensor::from_slice(&[0i64, 0]).view([1, 2]);
        assert_eq!(shown(&image, &none).unwrap().size(), [1, 3, 4, 4]);
    }

    #[test]
    fn labels_have_the_colours_of_their_classes() {
        let picture = Tensor::full([1, 3, 1, 2], 100, (Kind::Uint8, Device::Cpu));
        let labels = Tensor::from_slice(&[0u8, 1, 9, 9]).view([1, 1, 4]);
        let drawn = bytes(&labelled(&picture, &labels).unwrap());
        // (0, 0, 0) and (128, 0, 0), plane by plane.
        assert_eq!(drawn, [35, 118, 35, 35, 35, 35]);
        assert!(
            labelled(
                &picture,
                &Tensor::zeros([1, 1, 1], (Kind::Int64, Device::Cpu))
            )
            .is_err()
        );
    }

    #[test]
    fn boxes_are_lines_inside_the_picture() {
        let picture = Tensor::zeros([1, 3, 5, 5], (Kind::Uint8, Device::Cpu));
        let drawn = outlined(&picture, &[vec![(1, [1.0, 1.0, 3.0, 30.0])]]).unwrap();
        let red = bytes(&drawn.select(1, 0));
        let (on, off) = (128, 0);
        #[rustfmt::skip]
        assert_eq!(red, [
            off, off, off, off, off,
            off, on, on, on, off,
            off, on, off, on, off,
            off, on, off, on, off,
            off, on, on, on, off,
        ]);
        assert_eq!(bytes(&picture), vec![0; 75]);
        let nowhere = outlined(&picture, &[vec![(1, [3.0, 3.0, 1.0, 1.0])]]).unwrap();
        assert_eq!(bytes(&nowhere), vec![0; 75]);
        let odd = (-4, [f32::NAN, f32::INFINITY, 2.0, -7.0]);
        let drawn = outlined(&picture, &[vec![odd]]).unwrap();
        assert_eq!(drawn.size(), [1, 3, 5, 5]);
    }
}
