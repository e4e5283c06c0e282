//! The box and the area of a mask, for annotations that lack them.

use hotcoco::mask::{area, to_bbox};
use hotcoco::types::Segmentation;

/// Area in pixels and left, top, width, height of a `segmentation` as its JSON text has it: polygons, a list
/// of run lengths, or a compressed string of them. The picture has `height` by `width` pixels.
pub(super) fn extent(text: &str, height: u32, width: u32) -> Result<(f64, [f64; 4]), String> {
    let mask: Segmentation = serde_json::from_str(text)
        .map_err(|error| format!("its segmentation cannot be read: {error}"))?;
    let problem = |error: hotcoco::Error| format!("its segmentation cannot be read: {error}");
    let (pixels, bbox) = match &mask {
        Segmentation::CompressedRle { size, .. } | Segmentation::UncompressedRle { size, .. }
            if *size != [height, width] =>
        {
            let [rows, columns] = size;
            return Err(format!(
                "its mask has {rows}x{columns} pixels but its picture {height}x{width}"
            ));
        }
        _ => match mask.rle_ref() {
            Some(runs) => runs
                .area_and_bbox()
                .map(|(pixels, bbox)| (pixels as f64, bbox))
                .map_err(problem)?,
            None => {
                let drawn = mask.to_rle(height, width).map_err(problem)?;
                (area(&drawn) as f64, to_bbox(&drawn))
            }
        },
    };
    if pixels > 0.0 {
        Ok((pixels, bbox))
    } else {
        Err("its mask has no pixel".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_three_forms_of_a_mask_give_its_box() {
        // Columns 1 and 2, rows 1 to 3, of 5x4 pixels: runs go down the columns.
        let expected = Ok((6.0, [1.0, 1.0, 2.0, 3.0]));
        for text in [
            r#"[[1, 1, 3, 1, 3, 4, 1, 4]]"#,
            r#"[[1, 1, 3, 1, 3, 2, 1, 2], [1, 2, 3, 2, 3, 4, 1, 4]]"#,
            r#"{"size": [5, 4], "counts": [6, 3, 2, 3, 6]}"#,
            r#"{"counts": "6320", "size": [5, 4]}"#,
        ] {
            assert_eq!(extent(text, 5, 4), expected, "{text}");
        }
    }

    #[test]
    fn masks_that_cannot_be_used_say_why() {
        for (text, words) in [
            ("[]", "no pixel"),
            ("[[]]", "no pixel"),
            ("[[1, 1, 3, 3]]", "no pixel"),
            ("[[90, 90, 95, 90, 95, 99]]", "no pixel"),
            (r#"{"size": [5, 4], "counts": [20]}"#, "no pixel"),
            (
                r#"{"size": [4, 5], "counts": [6, 3]}"#,
                "4x5 pixels but its picture 5x4",
            ),
            (r#"{"size": [5, 4], "counts": [6, 30]}"#, "cannot be read"),
            (r#"{"size": [5, 4], "counts": [6, -3]}"#, "cannot be read"),
            (r#"{"size": [5, 4], "counts": "!"}"#, "cannot be read"),
            (r#"{"size": [5, 4]}"#, "missing field"),
            ("[1, 2, 3, 4]", "cannot be read"),
            ("{}", "missing field"),
            ("3", "cannot be read"),
            (r#"[["a"]]"#, "cannot be read"),
        ] {
            let problem = extent(text, 5, 4).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn any_runs_and_strings_give_a_box_inside_or_a_problem(
            runs in proptest::collection::vec(any::<u32>(), 0..6), counts in "[0-o]{0,8}", small in 0u32..30,
        ) {
            let small: Vec<u32> = runs.iter().map(|run| run % (small + 1)).collect();
            for counts in [format!("{runs:?}"), format!("{small:?}"), serde_json::to_string(&counts).unwrap()] {
                let text = format!(r#"{{"size": [7, 9], "counts": {counts}}}"#);
                if let Ok((area, [x, y, w, h])) = extent(&text, 7, 9) {
                    prop_assert!(area >= 1.0 && area <= w * h);
                    prop_assert!(x >= 0.0 && y >= 0.0 && x + w <= 9.0 && y + h <= 7.0);
                }
            }
        }

        #[test]
        fn any_polygon_gives_a_box_inside_or_a_problem(
            points in proptest::collection::vec(-1e7f64..1e7, 0..9), near in proptest::collection::vec(-5.0f64..15.0, 0..9),
        ) {
            let text = serde_json::to_string(&[points, near]).unwrap();
            if let Ok((_, [x, y, w, h])) = extent(&text, 7, 9) {
                prop_assert!(x >= 0.0 && y >= 0.0 && x + w <= 9.0 && y + h <= 7.0);
            }
        }
    }
}
