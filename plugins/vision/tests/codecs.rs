//! Files of pictures and label maps: what is read from them, and that nothing damaged is accepted.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::codec::{
    MAX_PIXELS, decode_coloured_labels, decode_labels, decode_photograph, encode_jpeg,
    encode_labels, jpeg_round_trip, photograph_size, png_size,
};
use autoloss_vision::data::DataFolder;
use autoloss_vision::folder::write_voc;
use autoloss_vision::palette::{voc_colour, voc_palette};
use autoloss_vision::{
    LabelledImage, SceneConfig, SceneGenerator, SegmentationFolder, Split, VisionError,
};
use png::{BitDepth, ColorType};
use proptest::prelude::*;
use std::path::Path;

fn file() -> &'static Path {
    Path::new("some/file")
}

fn scene() -> LabelledImage {
    let generator = SceneGenerator::embedded(SceneConfig::default()).unwrap();
    let scene = generator.scene(Split::Train, 3, 0);
    LabelledImage::new(scene.height, scene.width, scene.image, scene.classes).unwrap()
}

/// A PNG of any kind; palette PNGs get VOC's palette.
fn png(width: u32, height: u32, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(voc_palette()[..3 << depth as usize].to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn problem(result: Result<impl std::fmt::Debug, VisionError>) -> String {
    match result.unwrap_err() {
        VisionError::Decode {
            file: named,
            problem,
        } => {
            assert_eq!(named, file());
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_photograph_survives_jpeg_nearly_and_its_labels_exactly() {
    let scene = scene();
    let read = jpeg_round_trip(&scene).unwrap();
    assert_eq!(read.labels(), scene.labels());
    assert_eq!(
        (read.height(), read.width()),
        (scene.height(), scene.width())
    );
    let pairs = || read.image().iter().zip(scene.image());
    let sum: u64 = pairs().map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = sum as f64 / scene.image().len() as f64;
    assert!(mean > 0.0 && mean < 3.0, "mean difference {mean}");
    assert_eq!(read, jpeg_round_trip(&scene).unwrap());
}

#[test]
fn every_shortened_jpeg_is_refused() {
    let scene = scene();
    let bytes = encode_jpeg(scene.height(), scene.width(), scene.image()).unwrap();
    assert!(decode_photograph(&bytes, file()).is_ok());
    for end in (0..bytes.len() - 1)
        .rev()
        .step_by(97)
        .chain(bytes.len() - 40..bytes.len())
    {
        let message = problem(decode_photograph(&bytes[..end], file()));
        assert!(!message.is_empty(), "{end} of {} bytes", bytes.len());
    }
}

#[test]
fn a_thumbnail_does_not_pass_for_the_end_of_the_picture() {
    let bytes = encode_jpeg(16, 16, &[77; 16 * 16 * 3]).unwrap();
    let mut with_thumbnail = bytes[..2].to_vec();
    with_thumbnail.extend([0xff, 0xe1, 0, 6, 9, 9, 0xff, 0xd9]);
    with_thumbnail.extend(&bytes[2..]);
    assert!(decode_photograph(&with_thumbnail, file()).is_ok());
    let message = problem(decode_photograph(
        &with_thumbnail[..with_thumbnail.len() - 2],
        file(),
    ));
    assert!(message.contains("cut short"), "{message}");
    // Bytes after the end, which cameras append, do no harm.
    let mut longer = bytes;
    longer.extend([1, 2, 3]);
    assert!(decode_photograph(&longer, file()).is_ok());
}

#[test]
fn grey_jpegs_and_every_kind_of_png_become_rgb() {
    let mut grey = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut grey, 100);
    encoder
        .encode(&[120; 64], 8, 8, jpeg_encoder::ColorType::Luma)
        .unwrap();
    assert_eq!(decode_photograph(&grey, file()).unwrap().rgb, [120; 3 * 64]);

    use BitDepth::{Eight, One, Sixteen};
    let rgb = [1, 2, 3, 4, 5, 6];
    for (color, depth, data, expected) in [
        (ColorType::Rgb, Eight, &rgb[..], rgb),
        (ColorType::Rgba, Eight, &[1, 2, 3, 0, 4, 5, 6, 9], rgb),
        (ColorType::Grayscale, Eight, &[7, 8], [7, 7, 7, 8, 8, 8]),
        (
            ColorType::Grayscale,
            One,
            &[0b0100_0000],
            [0, 0, 0, 255, 255, 255],
        ),
        (
            ColorType::GrayscaleAlpha,
            Eight,
            &[7, 1, 8, 2],
            [7, 7, 7, 8, 8, 8],
        ),
        (
            ColorType::Grayscale,
            Sixteen,
            &[7, 200, 8, 1],
            [7, 7, 7, 8, 8, 8],
        ),
        (
            ColorType::Indexed,
            One,
            &[0b0100_0000],
            [0, 0, 0, 128, 0, 0],
        ),
    ] {
        let bytes = png(2, 1, color, depth, data);
        let decoded = decode_photograph(&bytes, file()).unwrap();
        assert_eq!(decoded.rgb, expected, "{color:?} {depth:?}");
    }
}

#[test]
fn labels_are_indices_grey_values_or_colours_of_the_palette() {
    for (depth, data, expected) in [
        (
            BitDepth::One,
            vec![0b1011_0000, 0b0100_0000],
            [1, 0, 1, 0, 1, 0],
        ),
        (
            BitDepth::Two,
            vec![0b0011_1000, 0b0110_1100],
            [0, 3, 2, 1, 2, 3],
        ),
        (
            BitDepth::Four,
            vec![0x0f, 0x70, 0x12, 0x30],
            [0, 15, 7, 1, 2, 3],
        ),
        (
            BitDepth::Eight,
            vec![0, 255, 7, 1, 2, 3],
            [0, 255, 7, 1, 2, 3],
        ),
    ] {
        let bytes = png(3, 2, ColorType::Indexed, depth, &data);
        assert_eq!(
            decode_labels(&bytes, file()).unwrap().labels,
            expected,
            "{depth:?}"
        );
    }
    let grey = png(3, 1, ColorType::Grayscale, BitDepth::Eight, &[0, 9, 255]);
    assert_eq!(decode_labels(&grey, file()).unwrap().labels, [0, 9, 255]);
    let colours: Vec<u8> = [0, 20, 255].into_iter().flat_map(voc_colour).collect();
    let rgb = png(3, 1, ColorType::Rgb, BitDepth::Eight, &colours);
    assert_eq!(decode_labels(&rgb, file()).unwrap().labels, [0, 20, 255]);
}

#[test]
fn ambiguous_labels_are_refused_with_the_reason() {
    let odd = [voc_colour(0), voc_colour(3), [1, 2, 3], voc_colour(3)].concat();
    let message = problem(decode_labels(
        &png(2, 2, ColorType::Rgb, BitDepth::Eight, &odd),
        file(),
    ));
    assert!(
        message.contains("[1, 2, 3] at row 1, column 0"),
        "{message}"
    );
    for (color, depth, data) in [
        (ColorType::Grayscale, BitDepth::Two, &[0u8][..]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &[0, 0]),
        (ColorType::Rgb, BitDepth::Sixteen, &[0; 6]),
    ] {
        let message = problem(decode_labels(&png(1, 1, color, depth, data), file()));
        assert!(message.contains("save it as a palette"), "{message}");
        assert!(message.len() < 250, "{message}");
    }
    let wide = png(
        2,
        1,
        ColorType::Grayscale,
        BitDepth::Sixteen,
        &[0, 9, 102, 5],
    );
    let message = problem(decode_labels(&wide, file()));
    assert!(
        message.contains("16-bit value 26117 at row 0, column 1"),
        "{message}"
    );
    // A JPEG holds no labels.
    let jpeg = encode_jpeg(8, 8, &[0; 192]).unwrap();
    let message = problem(decode_labels(&jpeg, file()));
    assert!(
        message.contains("it is a JPEG file") && message.contains("masks as PNG"),
        "{message}"
    );
    let message = problem(decode_labels(b"II*\0", file()));
    assert_eq!(message, "it is a TIFF file; save it as PNG");
    assert_eq!(
        problem(decode_labels(b"<html>", file())),
        "it is no PNG file"
    );
}

#[test]
fn an_index_beyond_the_palette_is_no_colour() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(voc_palette()[..9].to_vec());
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[2, 3]).unwrap();
    writer.finish().unwrap();
    let colours = [([0, 128, 0], 1), ([0, 0, 0], 0)].into();
    for message in [
        problem(decode_photograph(&bytes, file())),
        problem(decode_coloured_labels(&bytes, &colours, file())),
    ] {
        let words = "the index 3 at row 0, column 1 is beyond its palette of 3 colours";
        assert!(message.contains(words), "{message}");
    }
    // Where masks are told by their indices the colours do not matter.
    assert_eq!(decode_labels(&bytes, file()).unwrap().labels, [2, 3]);
}

#[test]
fn sixteen_bits_and_an_opaque_alpha_channel_hold_labels_too() {
    let wide = [0, 0, 0, 9, 0, 255];
    let wide = png(3, 1, ColorType::Grayscale, BitDepth::Sixteen, &wide);
    assert_eq!(decode_labels(&wide, file()).unwrap().labels, [0, 9, 255]);
    let opaque = [0, 255, 9, 255, 255, 255];
    let opaque = png(3, 1, ColorType::GrayscaleAlpha, BitDepth::Eight, &opaque);
    assert_eq!(decode_labels(&opaque, file()).unwrap().labels, [0, 9, 255]);
}

#[test]
fn sixteen_bit_photographs_lose_their_lower_bits_and_are_never_silently_black() {
    use BitDepth::Sixteen;
    let data = [1, 200, 2, 200, 3, 200, 4, 0, 5, 0, 6, 0];
    let decoded = decode_photograph(&png(2, 1, ColorType::Rgb, Sixteen, &data), file()).unwrap();
    assert_eq!(decoded.rgb, [1, 2, 3, 4, 5, 6]);
    for (color, data) in [
        (ColorType::Grayscale, &[0, 200, 0, 90][..]),
        (
            ColorType::GrayscaleAlpha,
            &[0, 200, 255, 255, 0, 9, 255, 255],
        ),
        (ColorType::Rgb, &[0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255]),
    ] {
        let message = problem(decode_photograph(&png(2, 1, color, Sixteen, data), file()));
        assert!(message.contains("every value is below 256"), "{message}");
    }
    let black = png(2, 1, ColorType::Grayscale, Sixteen, &[0; 4]);
    assert_eq!(decode_photograph(&black, file()).unwrap().rgb, [0; 6]);
}

/// A JPEG of 24x16 pixels of one colour of four inks, 0 to 255 each.
fn inks(colour: [u8; 4], kind: jpeg_encoder::ColorType, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 100);
    encoder.set_progressive(progressive);
    let data = colour.repeat(24 * 16);
    encoder.encode(&data, 24, 16, kind).unwrap();
    bytes
}

#[test]
fn adobes_inverted_inks_become_their_colours() {
    use jpeg_encoder::ColorType::{Cmyk, CmykAsYcck};
    for colour in [
        [0, 0, 0, 0],
        [255, 0, 40, 0],
        [10, 200, 90, 60],
        [0, 0, 0, 255],
    ] {
        let [cyan, magenta, yellow, black] = colour.map(f64::from);
        let light = [cyan, magenta, yellow].map(|ink| (255.0 - ink) * (255.0 - black) / 255.0);
        for (kind, progressive) in [
            (Cmyk, false),
            (CmykAsYcck, false),
            (Cmyk, true),
            (CmykAsYcck, true),
        ] {
            let bytes = inks(colour, kind, progressive);
            let decoded = decode_photograph(&bytes, file()).unwrap();
            assert_eq!((decoded.height, decoded.width), (16, 24));
            for pixel in decoded.rgb.chunks_exact(3) {
                let near = pixel
                    .iter()
                    .zip(light)
                    .all(|(&found, light)| (f64::from(found) - light).abs() < 3.0);
                assert!(
                    near,
                    "{colour:?} as {kind:?}: {pixel:?}, expected {light:?}"
                );
            }
        }
    }
}

#[test]
fn jpegs_that_are_not_read_are_named_and_not_called_damaged() {
    let scene = scene();
    let whole = encode_jpeg(scene.height(), scene.width(), scene.image()).unwrap();
    let frame = whole
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    for (at, byte, words) in [
        (1, 0xc3, "a lossless JPEG"),
        (1, 0xc5, "a hierarchical JPEG"),
        (1, 0xc9, "a JPEG with arithmetic coding"),
        (4, 12, "a JPEG of 12 bits a channel"),
        (9, 2, "a JPEG of 2 channels"),
    ] {
        let mut other = whole.clone();
        other[frame + at] = byte;
        let message = problem(decode_photograph(&other, file()));
        assert!(
            message.contains(words) && message.contains("; save it as"),
            "{message}"
        );
        assert!(
            !message.contains("damaged") && message.len() < 150,
            "{message}"
        );
    }
    // Without Adobe's mark programs disagree on whether the inks are inverted.
    let mut plain = inks([0, 200, 90, 60], jpeg_encoder::ColorType::Cmyk, false);
    let mark = plain.windows(5).position(|word| word == b"Adobe").unwrap();
    plain[mark] = b'x';
    let message = problem(decode_photograph(&plain, file()));
    assert!(
        message.contains("a CMYK JPEG without Adobe's mark"),
        "{message}"
    );
}

#[test]
fn the_size_of_a_photograph_is_known_from_its_header() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("picture");
    let size = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        photograph_size(&path)
    };
    let jpeg = encode_jpeg(4, 6, &[90; 72]).unwrap();
    let turned = png_with_orientation(4, 6);
    for (bytes, expected) in [
        (jpeg.clone(), (4, 6)),
        (with_orientation(&jpeg, 6), (6, 4)),
        (with_orientation(&jpeg, 3), (4, 6)),
        (
            png(6, 4, ColorType::Grayscale, BitDepth::Eight, &[7; 24]),
            (4, 6),
        ),
        (turned, (6, 4)),
    ] {
        assert_eq!(size(&bytes).unwrap(), expected);
        let decoded = decode_photograph(&bytes, file()).unwrap();
        assert_eq!(decoded.upright_size(), expected);
    }
    // A header that is longer than what is read at first.
    let mut long = jpeg[..2].to_vec();
    for _ in 0..2 {
        long.extend([0xff, 0xe2, 0xff, 0xff]);
        long.extend([9; 65_533]);
    }
    long.extend(&jpeg[2..]);
    assert_eq!(size(&long).unwrap(), (4, 6));
    for (bytes, words) in [
        (&jpeg[..20], "damaged or cut short"),
        (b"GIF89a", "a GIF file; save it as JPEG or PNG"),
        (b"", "the file is empty"),
    ] {
        let message = size(bytes).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

/// A grey PNG whose orientation, a right angle, stands behind its pixels.
fn png_with_orientation(height: u32, width: u32) -> Vec<u8> {
    let whole = png(
        width,
        height,
        ColorType::Grayscale,
        BitDepth::Eight,
        &vec![7; (height * width) as usize],
    );
    let mut chunk = b"eXIfII*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let length = chunk.len() as u32 - 4;
    let checksum = crc32(&chunk);
    chunk.splice(0..0, length.to_be_bytes());
    chunk.extend(checksum.to_be_bytes());
    let end = whole.len() - 12;
    [&whole[..end], &chunk, &whole[end..]].concat()
}

#[test]
fn every_shortened_or_altered_png_is_refused() {
    let scene = scene();
    let bytes = encode_labels(scene.height(), scene.width(), scene.labels()).unwrap();
    for end in (0..bytes.len())
        .step_by(13)
        .chain(bytes.len() - 12..bytes.len())
    {
        problem(decode_labels(&bytes[..end], file()));
    }
    for position in (8..bytes.len()).step_by(101) {
        let mut altered = bytes.clone();
        altered[position] ^= 0x10;
        let result = decode_labels(&altered, file());
        assert!(result.is_err(), "byte {position} of {}", bytes.len());
    }
}

/// Made with ImageMagick: `-interlace PNG`, a palette of 8 colours, 9x7 pixels, index (x + 2y) mod 8.
#[test]
fn interlaced_label_maps_are_read() {
    let bytes = include_bytes!("fixtures/interlaced.png");
    let map = decode_labels(bytes, file()).unwrap();
    assert_eq!((map.height, map.width), (7, 9));
    let expected: Vec<u8> = (0..63)
        .map(|index| ((index % 9 + 2 * (index / 9)) % 8) as u8)
        .collect();
    assert_eq!(map.labels, expected);
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let mut huge = png(1, 1, ColorType::Grayscale, BitDepth::Eight, &[0]);
    // The header's width and height, then its checksum.
    huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let checksum = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    for result in [
        decode_labels(&huge, file()).map(|_| ()),
        decode_photograph(&huge, file()).map(|_| ()),
    ] {
        let message = problem(result);
        assert!(message.contains("65536x65536"), "{message}");
    }
    let mut jpeg = encode_jpeg(8, 8, &[0; 192]).unwrap();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let message = problem(decode_photograph(&jpeg, file()));
    assert!(message.contains("65535x65535"), "{message}");
    const { assert!(MAX_PIXELS < 65_535 * 65_535) };
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), step)
    })
}

#[test]
fn what_no_format_holds_is_refused() {
    assert!(matches!(
        encode_jpeg(1, 65_536, &[]),
        Err(VisionError::Encode { .. })
    ));
    assert!(matches!(
        encode_jpeg(1, 2, &[0; 3]),
        Err(VisionError::Encode { .. })
    ));
    assert!(matches!(
        encode_labels(1, 2, &[0; 3]),
        Err(VisionError::Encode { .. })
    ));
    assert!(matches!(
        encode_labels(0, 2, &[]),
        Err(VisionError::Encode { .. })
    ));
    assert!(problem(decode_photograph(b"", file())).contains("empty"));
    assert!(problem(decode_photograph(b"<html>", file())).contains("neither a JPEG nor a PNG"));
    let missing = png_size(Path::new("no/such/file.png"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("cannot read no/such/file.png: "),
        "{missing}"
    );
}

proptest! {
    // Files of integration tests have no place for found failures.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labels_survive_their_file(height in 1usize..20, width in 1usize..20, seed: u8) {
        let labels: Vec<u8> = (0..height * width).map(|index| (index as u8).wrapping_mul(seed)).collect();
        let bytes = encode_labels(height, width, &labels).unwrap();
        let read = decode_labels(&bytes, file()).unwrap();
        prop_assert_eq!((read.height, read.width, read.labels), (height, width, labels));
    }

    #[test]
    fn any_bytes_give_a_picture_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        start in 0usize..3,
    ) {
        let magic: &[u8] = [&b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"][start];
        let bytes = [magic, &bytes].concat();
        let _ = decode_labels(&bytes, file());
        if let Ok(picture) = decode_photograph(&bytes, file()) {
            prop_assert_eq!(picture.rgb.len(), 3 * picture.height * picture.width);
        }
    }

    #[test]
    fn altered_jpegs_give_a_picture_or_an_error(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        progressive: bool,
        restart in 0u16..4,
    ) {
        let rgb: Vec<u8> = (0..24 * 40 * 3).map(|index| (index * index % 251) as u8).collect();
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
        encoder.set_progressive(progressive);
        encoder.set_restart_interval(restart);
        encoder.encode(&rgb, 40, 24, jpeg_encoder::ColorType::Rgb).unwrap();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        if let Ok(picture) = decode_photograph(&bytes, file()) {
            prop_assert_eq!(picture.rgb.len(), 3 * picture.height * picture.width);
        }
    }
}

/// A JPEG with an EXIF block that says only an orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1, 0, tiff.len() as u8 + 2]);
    bytes.extend(tiff);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[test]
fn stray_bytes_between_segments_do_not_matter() {
    let scene = scene();
    let bytes = encode_jpeg(scene.height(), scene.width(), scene.image()).unwrap();
    let expected = decode_photograph(&bytes, file()).unwrap();
    // Behind the first segment, and in front of the next.
    let end = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    for stray in [&[7u8][..], &[1, 2, 3, 4, 5, 6, 7, 8], &[0xff], &[0xff, 0]] {
        let strange = [&bytes[..end], stray, &bytes[end..]].concat();
        assert_eq!(
            decode_photograph(&strange, file()).unwrap(),
            expected,
            "{stray:?}"
        );
        let cut = &strange[..strange.len() - 2];
        assert!(problem(decode_photograph(cut, file())).contains("cut short"));
    }
}

#[test]
fn masks_drawn_over_a_turned_photograph_lie_on_the_turned_pixels() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    // 4 rows of 6 pixels, dark on the left.
    let rgb: Vec<u8> = (0..24)
        .flat_map(|pixel| [if pixel % 6 < 3 { 20 } else { 220 }; 3])
        .collect();
    let stored = with_orientation(&encode_jpeg(4, 6, &rgb).unwrap(), 6);
    let decoded = decode_photograph(&stored, file()).unwrap();
    assert_eq!((decoded.orientation, decoded.upright_size()), (6, (6, 4)));
    let sample = |split| {
        let picture = LabelledImage::new(4, 6, vec![90; 72], vec![0; 24])?;
        Ok::<_, VisionError>((split, format!("a_{split}"), picture))
    };
    let classes = ["background".to_owned(), "thing".to_owned()];
    write_voc(root, Split::ALL.map(sample), &classes, &Default::default()).unwrap();
    std::fs::write(root.join("JPEGImages/a_test.jpg"), &stored).unwrap();
    let mask = root.join("SegmentationClass/a_test.png");
    let read = |height: usize, width: usize| {
        std::fs::write(
            &mask,
            encode_labels(height, width, &vec![1; height * width]).unwrap(),
        )
        .unwrap();
        let set = SegmentationFolder::open(root, &Default::default()).unwrap();
        set.sample(Split::Test, 0)
    };
    // Turned by a right angle clockwise, what was left is on top.
    let turned = read(6, 4).unwrap();
    assert_eq!((turned.height(), turned.width()), (6, 4));
    assert!(turned.image()[0] < 80 && turned.image()[3 * 23] > 180);
    let right = turned.image()[3 * 3];
    assert!(right < 80, "{right}");
    // A mask of the stored size lies on the stored pixels.
    let flat = read(4, 6).unwrap();
    assert!(flat.image()[0] < 80 && flat.image()[3 * 5] > 180);
    assert!(read(5, 5).is_err());
}

#[test]
fn one_bit_masks_hold_0_and_1_and_other_pictures_are_called_by_their_name() {
    let bytes = png(3, 1, ColorType::Grayscale, BitDepth::One, &[0b0110_0000]);
    assert_eq!(decode_labels(&bytes, file()).unwrap().labels, [0, 1, 1]);
    for (bytes, name) in [
        (&b"RIFF\x10\0\0\0WEBPVP8 "[..], "a WebP file"),
        (b"II*\0\x08\0\0\0", "a TIFF file"),
        (b"GIF89a", "a GIF file"),
        (b"\0\0\0\x18ftypheic", "a HEIF"),
    ] {
        let message = problem(decode_photograph(bytes, file()));
        assert!(message.contains(name), "{message}");
    }
}
