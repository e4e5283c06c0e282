//! Augmentation: the picture and its labels move together, and a seed gives one result.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::{AugmentConfig, LabelledImage, VOID, VisionError, augment};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// A picture in which the red of a pixel is its label.
fn picture(height: usize, width: usize) -> LabelledImage {
    let labels: Vec<u8> = (0..height * width)
        .map(|index| (index / width / 4 * 16 + index % width / 4 % 15) as u8)
        .collect();
    let image = labels.iter().flat_map(|&label| [label, 0, 200]).collect();
    LabelledImage::new(height, width, image, labels).unwrap()
}

fn geometry_only(crop: usize, min_scale: f32, max_scale: f32) -> AugmentConfig {
    AugmentConfig {
        crop,
        min_scale,
        max_scale,
        flip: true,
        colour: 0.0,
    }
}

#[test]
fn without_scaling_every_pixel_keeps_its_label() {
    let source = picture(40, 52);
    for seed in 0..40 {
        let result = augment(&source, &geometry_only(32, 1.0, 1.0), seed).unwrap();
        for (colour, &label) in result.image().chunks_exact(3).zip(result.labels()) {
            assert!(
                (i32::from(colour[0]) - i32::from(label)).abs() <= 16,
                "{colour:?} {label}"
            );
            assert_eq!(colour[2], 200);
        }
        assert!(!result.labels().contains(&VOID));
    }
}

#[test]
fn half_of_the_results_are_mirrored_and_only_if_asked_for() {
    let source = LabelledImage::new(1, 2, vec![0, 0, 0, 9, 9, 9], vec![0, 1]).unwrap();
    let config = AugmentConfig {
        crop: 2,
        ..geometry_only(2, 1.0, 1.0)
    };
    let mirrored = |config: &AugmentConfig| {
        let results = (0..400).map(|seed| augment(&source, config, seed).unwrap());
        results
            .filter(|result| {
                result.labels().starts_with(&[1, 0]) || result.labels().ends_with(&[1, 0])
            })
            .count()
    };
    assert!((140..=260).contains(&mirrored(&config)));
    assert_eq!(
        mirrored(&AugmentConfig {
            flip: false,
            ..config
        }),
        0
    );
}

#[test]
fn colours_change_without_touching_labels() {
    let source = picture(32, 32);
    let plain = augment(&source, &geometry_only(32, 1.0, 1.0), 4).unwrap();
    let coloured = AugmentConfig {
        colour: 1.0,
        ..geometry_only(32, 1.0, 1.0)
    };
    let coloured = augment(&source, &coloured, 4).unwrap();
    assert_eq!(plain.labels(), coloured.labels());
    assert_ne!(plain.image(), coloured.image());
}

#[test]
fn bad_input_is_named() {
    assert!(matches!(
        LabelledImage::new(2, 2, vec![0; 12], vec![0; 3]),
        Err(VisionError::Length {
            what: "the label map",
            found: 3,
            expected: 4,
            ..
        })
    ));
    assert!(LabelledImage::new(0, 5, Vec::new(), Vec::new()).is_err());
    let source = picture(4, 4);
    for (field, config) in [
        ("crop", geometry_only(0, 1.0, 1.0)),
        ("min_scale", geometry_only(4, 0.0, 1.0)),
        ("max_scale", geometry_only(4, 1.0, 0.5)),
        (
            "colour",
            AugmentConfig {
                colour: f32::NAN,
                ..AugmentConfig::default()
            },
        ),
    ] {
        match augment(&source, &config, 0) {
            Err(VisionError::Config { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

/// Stored runs name a changed picture by its seed, so a seed must give the same bytes for ever.
#[test]
fn what_a_seed_gives_never_changes() {
    let mut digest = Sha256::new();
    for (height, width) in [(37, 53), (60, 20), (1, 9)] {
        let pixels = height * width;
        let image = (0..3 * pixels)
            .map(|byte| (byte * byte % 251) as u8)
            .collect();
        let labels = (0..pixels).map(|pixel| (pixel % 21) as u8).collect();
        let source = LabelledImage::new(height, width, image, labels).unwrap();
        for (crop, scales, colour) in [
            (32, (0.5, 2.0), 0.3),
            (48, (1.0, 1.0), 0.0),
            (9, (0.1, 6.0), 1.0),
        ] {
            let config = AugmentConfig {
                colour,
                ..geometry_only(crop, scales.0, scales.1)
            };
            for seed in 0..20 {
                let result = augment(&source, &config, seed).unwrap();
                digest.update(result.image());
                digest.update(result.labels());
            }
        }
    }
    let found: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        found,
        "daff53f850cf58bb980003ff15073d6980d38e610beedf1a4f0c7a47c720c8e4"
    );
}

proptest! {
    #[test]
    fn any_picture_and_seed_give_a_full_crop(
        height in 1usize..40,
        width in 1usize..40,
        crop in 1usize..48,
        scales in (0.1f32..4.0, 0f32..4.0),
        seed in any::<u64>(),
    ) {
        let source = picture(height, width);
        let config = AugmentConfig { colour: 0.5, ..geometry_only(crop, scales.0, scales.0 + scales.1) };
        let result = augment(&source, &config, seed).unwrap();
        prop_assert_eq!((result.height(), result.width()), (crop, crop));
        prop_assert_eq!(result.image().len(), 3 * result.labels().len());
        let known = |label: &u8| *label == VOID || source.labels().contains(label);
        prop_assert!(result.labels().iter().all(known));
        prop_assert_eq!(&result, &augment(&source, &config, seed).unwrap());
    }
}
