//! Folders of every layout, spelt and stored in every way that is read, and with every fault: they give what the same
//! pictures give in a plain folder, or an error that names the file.
//!
//! 200 folders are made; `AUTOLOSS_SLOW_TESTS=1` makes 4,000.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::coco::{CocoFolder, CocoOptions};
use autoloss_vision::codec::{decode_photograph, encode_jpeg};
use autoloss_vision::data::DataFolder;
use autoloss_vision::palette::voc_palette;
use autoloss_vision::{FolderOptions, SegmentationFolder, Split, VisionError};
use png::{BitDepth, ColorType};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::fs;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Voc,
    /// Without lists.
    Labelme,
    /// With one list and masks told by their colours.
    Cvat,
    Cityscapes,
    Coco,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Photo {
    Jpeg,
    Progressive,
    GreyJpeg,
    Cmyk,
    Ycck,
    Png,
    GreyPng,
    WidePng,
    AlphaPng,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mask {
    Palette,
    Palette4,
    Grey,
    WideGrey,
    OpaqueGrey,
    OneBit,
    Colours,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Name,
    Ending,
    Label,
    Paths,
    Folder,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Lines,
    Crlf,
    Mark,
    MarkAndCrlf,
    Spaces,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    NoPhotograph,
    NoMask,
    CutPhotograph,
    CutMask,
    EmptyMask,
    WebpPhotograph,
    JpegMask,
    Grey4Mask,
    OtherSize,
    OtherLabel,
    WideText,
    BrokenText,
    Twice,
    /// 255, which is void, where the object is, in every mask.
    VoidObject,
}

/// How the pictures of a folder are stored and named. `Style::plain` is what nobody can misread.
#[derive(Clone, Debug)]
struct Style {
    photo: Photo,
    mask: Mask,
    entry: Entry,
    encoding: Encoding,
    /// How names begin, in composed letters.
    stem: &'static str,
    ending: usize,
    mask_ending: usize,
    /// Whether letters are decomposed in lists, photographs, masks and class names.
    decomposed: [bool; 4],
    orientation: u8,
    /// Whether labels were drawn over the stored pixels, where the size tells so.
    over_stored: bool,
    /// Whether annotations have height and width.
    sizes: bool,
}

#[derive(Clone, Debug)]
struct Case {
    layout: Layout,
    style: Style,
    size: (usize, usize),
    seed: u64,
    fault: Option<(Fault, usize)>,
}

const TRAIN: usize = 5;
const ALL: usize = 7;

/// RGB or one byte a pixel.
#[derive(Clone)]
struct Pixels {
    height: usize,
    width: usize,
    each: usize,
    data: Vec<u8>,
}

impl Pixels {
    fn map(
        &self,
        (height, width): (usize, usize),
        from: impl Fn(usize, usize) -> (usize, usize),
    ) -> Pixels {
        let mut data = Vec::new();
        for row in 0..height {
            for column in 0..width {
                let (r, c) = from(row, column);
                let at = self.each * (r * self.width + c);
                data.extend(&self.data[at..at + self.each]);
            }
        }
        Pixels {
            height,
            width,
            each: self.each,
            data,
        }
    }

    fn mirrored(&self) -> Pixels {
        self.map((self.height, self.width), |row, column| {
            (row, self.width - 1 - column)
        })
    }

    /// By right angles, clockwise.
    fn rotated(&self, times: usize) -> Pixels {
        (0..times).fold(self.clone(), |old, _| {
            old.map((old.width, old.height), |row, column| {
                (old.height - 1 - column, row)
            })
        })
    }

    /// From the stored pixels to the upright ones.
    fn upright(&self, orientation: u8) -> Pixels {
        let turned = self.rotated([0, 0, 2, 2, 1, 1, 3, 3][usize::from(orientation) - 1]);
        if [2, 4, 5, 7].contains(&orientation) {
            turned.mirrored()
        } else {
            turned
        }
    }
}

/// One picture: what is stored, and what a reader must see.
struct Picture {
    name: String,
    photograph: Vec<u8>,
    rgb: Pixels,
    labels: Pixels,
}

fn png(
    pixels: &Pixels,
    color: ColorType,
    depth: BitDepth,
    palette: Option<Vec<u8>>,
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width as u32, pixels.height as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn jpeg(
    pixels: &Pixels,
    color: jpeg_encoder::ColorType,
    progressive: bool,
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
    encoder.set_progressive(progressive);
    encoder
        .encode(data, pixels.width as u16, pixels.height as u16, color)
        .unwrap();
    bytes
}

/// The EXIF block of an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

fn with_orientation(file: &[u8], orientation: u8) -> Vec<u8> {
    let block = exif(orientation);
    if file.starts_with(b"\x89PNG") {
        let mut chunk = [b"eXIf", &block[..]].concat();
        let checksum = crc32(&chunk);
        chunk.extend(checksum.to_be_bytes());
        let length = (block.len() as u32).to_be_bytes();
        return [&file[..33], &length, &chunk, &file[33..]].concat();
    }
    let block = [b"Exif\0\0", &block[..]].concat();
    let head = [0xff, 0xe1, 0, block.len() as u8 + 2];
    [&file[..2], &head, &block, &file[2..]].concat()
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

impl Style {
    fn plain(&self) -> Style {
        Style {
            photo: Photo::Png,
            mask: Mask::Palette,
            entry: Entry::Name,
            encoding: Encoding::Lines,
            ending: 0,
            mask_ending: 0,
            decomposed: [false; 4],
            orientation: 1,
            over_stored: false,
            sizes: true,
            stem: self.stem,
        }
    }

    fn spelt(&self, name: &str, place: usize) -> String {
        if self.decomposed[place] {
            name.nfd().collect()
        } else {
            name.nfc().collect()
        }
    }

    fn photo_ending(&self) -> &'static str {
        let is_png = matches!(
            self.photo,
            Photo::Png | Photo::GreyPng | Photo::WidePng | Photo::AlphaPng
        );
        let endings = if is_png {
            ["png", "PNG", "jpg", "Png"]
        } else {
            ["jpg", "JPG", "jpeg", "JPEG"]
        };
        endings[self.ending]
    }

    fn mask_ending(&self) -> &'static str {
        ["png", "PNG", "Png"][self.mask_ending]
    }

    /// A photograph's file of noise, and its stored pixels.
    fn photograph(
        &self,
        (height, width): (usize, usize),
        noise: &mut impl FnMut() -> u8,
    ) -> (Vec<u8>, Pixels) {
        let rgb: Vec<u8> = (0..3 * height * width).map(|_| noise()).collect();
        let pixels = Pixels {
            height,
            width,
            each: 3,
            data: rgb,
        };
        let rgb = &pixels.data;
        let greys: Vec<u8> = rgb.iter().copied().step_by(3).collect();
        let grey = |greys: &[u8]| greys.iter().flat_map(|&grey| [grey; 3]).collect();
        let (file, data) = match self.photo {
            Photo::Png => (
                png(&pixels, ColorType::Rgb, BitDepth::Eight, None, rgb),
                rgb.clone(),
            ),
            Photo::GreyPng => (
                png(&pixels, ColorType::Grayscale, BitDepth::Eight, None, &greys),
                grey(&greys),
            ),
            Photo::WidePng => {
                let wide: Vec<u8> = rgb.iter().flat_map(|&byte| [byte, noise()]).collect();
                (
                    png(&pixels, ColorType::Rgb, BitDepth::Sixteen, None, &wide),
                    rgb.clone(),
                )
            }
            Photo::AlphaPng => {
                let alpha: Vec<u8> = rgb
                    .chunks(3)
                    .flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 100])
                    .collect();
                (
                    png(&pixels, ColorType::Rgba, BitDepth::Eight, None, &alpha),
                    rgb.clone(),
                )
            }
            // Losses are those of the decoder, which has tests of its own.
            Photo::Jpeg => decoded(encode_jpeg(height, width, rgb).unwrap()),
            Photo::Progressive => decoded(jpeg(&pixels, jpeg_encoder::ColorType::Rgb, true, rgb)),
            Photo::GreyJpeg => decoded(jpeg(&pixels, jpeg_encoder::ColorType::Luma, false, &greys)),
            Photo::Cmyk | Photo::Ycck => {
                let inks: Vec<u8> = rgb
                    .chunks(3)
                    .flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 30])
                    .collect();
                let kind = match self.photo {
                    Photo::Cmyk => jpeg_encoder::ColorType::Cmyk,
                    _ => jpeg_encoder::ColorType::CmykAsYcck,
                };
                decoded(jpeg(&pixels, kind, false, &inks))
            }
        };
        (file, Pixels { data, ..pixels })
    }

    /// A mask's file.
    fn mask(&self, labels: &Pixels, layout: Layout) -> Vec<u8> {
        let data = &labels.data;
        let palette = match layout {
            Layout::Cvat => CVAT_COLOURS.concat(),
            _ => voc_palette(),
        };
        let rows = |depth: usize, shift: usize| -> Vec<u8> {
            let rows = data.chunks(labels.width);
            let packed = rows.flat_map(|row| {
                row.chunks(8 / depth).map(move |pixels| {
                    let bits = pixels.iter().enumerate();
                    bits.fold(0, |byte, (place, label)| {
                        byte | (label >> shift) << (8 - depth * (place + 1))
                    })
                })
            });
            packed.collect()
        };
        match self.mask {
            Mask::Palette => png(
                labels,
                ColorType::Indexed,
                BitDepth::Eight,
                Some(palette),
                data,
            ),
            Mask::Palette4 => {
                let palette = palette[..palette.len().min(48)].to_vec();
                png(
                    labels,
                    ColorType::Indexed,
                    BitDepth::Four,
                    Some(palette),
                    &rows(4, 0),
                )
            }
            Mask::Grey => png(labels, ColorType::Grayscale, BitDepth::Eight, None, data),
            Mask::WideGrey => {
                let wide: Vec<u8> = data.iter().flat_map(|&label| [0, label]).collect();
                png(labels, ColorType::Grayscale, BitDepth::Sixteen, None, &wide)
            }
            Mask::OpaqueGrey => {
                let opaque: Vec<u8> = data.iter().flat_map(|&label| [label, 255]).collect();
                png(
                    labels,
                    ColorType::GrayscaleAlpha,
                    BitDepth::Eight,
                    None,
                    &opaque,
                )
            }
            Mask::OneBit => png(
                labels,
                ColorType::Grayscale,
                BitDepth::One,
                None,
                &rows(1, 0),
            ),
            Mask::Colours => {
                let colours = data
                    .iter()
                    .flat_map(|&label| &palette[3 * usize::from(label)..][..3]);
                let colours: Vec<u8> = colours.copied().collect();
                png(labels, ColorType::Rgb, BitDepth::Eight, None, &colours)
            }
        }
    }

    fn encoded(&self, lines: &[String]) -> Vec<u8> {
        let (mark, end) = match self.encoding {
            Encoding::Lines => ("", "\n"),
            Encoding::Crlf => ("", "\r\n"),
            Encoding::Mark => ("\u{feff}", "\n"),
            Encoding::MarkAndCrlf => ("\u{feff}", "\r\n"),
            Encoding::Spaces => ("", " \t\n\n"),
        };
        let lines: String = lines.iter().map(|line| format!("{line}{end}")).collect();
        format!("{mark}{lines}").into_bytes()
    }
}

fn decoded(file: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let rgb = decode_photograph(&file, Path::new("a picture just encoded"))
        .unwrap()
        .rgb;
    (file, rgb)
}

/// In the order of the classes: background, the class with an accent, thing.
const CVAT_COLOURS: [[u8; 3]; 3] = [[0, 0, 0], [0, 128, 0], [128, 0, 0]];
const CLASSES: [&str; 3] = ["background", "\u{e9}tude", "thing"];
/// Class numbers of Cityscapes' ids that stand for the labels.
const IDS: [u8; 3] = [7, 8, 26];

impl Case {
    /// Labels 0 to 2 (1 where there is one bit), the first two in every mask.
    fn pictures(&self) -> Vec<Picture> {
        let mut state = self.seed | 1;
        let mut noise = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let style = &self.style;
        let classes = if style.mask == Mask::OneBit { 2 } else { 3 };
        let picture = |index: usize| {
            let (file, stored) = style.photograph(self.size, &mut noise);
            let rgb = if style.over_stored {
                stored
            } else {
                stored.upright(style.orientation)
            };
            let data = (0..rgb.height * rgb.width).map(|pixel| match pixel {
                0 | 1 => pixel as u8,
                _ => noise() % classes,
            });
            let labels = Pixels {
                each: 1,
                data: data.collect(),
                ..rgb
            };
            Picture {
                name: format!("{}{index}", style.stem),
                photograph: if style.orientation == 1 {
                    file
                } else {
                    with_orientation(&file, style.orientation)
                },
                rgb,
                labels,
            }
        };
        (0..ALL).map(picture).collect()
    }

    /// The same pictures in a folder that nobody can misread.
    fn write_plain(&self, root: &Path, pictures: &[Picture]) {
        let style = self.style.plain();
        let files = pictures.iter().map(|picture| {
            let rgb = &picture.rgb;
            let file = png(rgb, ColorType::Rgb, BitDepth::Eight, None, &rgb.data);
            (picture, file)
        });
        self.write(root, &style, &files.collect::<Vec<_>>(), None);
    }

    /// Writes the folder and names the files that an error may be about.
    fn write_styled(&self, root: &Path, pictures: &[Picture]) -> Vec<String> {
        let files = pictures
            .iter()
            .map(|picture| (picture, picture.photograph.clone()));
        self.write(root, &self.style, &files.collect::<Vec<_>>(), self.fault)
    }

    fn write(
        &self,
        root: &Path,
        style: &Style,
        files: &[(&Picture, Vec<u8>)],
        fault: Option<(Fault, usize)>,
    ) -> Vec<String> {
        let put = |relative: String, bytes: &[u8]| {
            let path = root.join(relative);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let mut named = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        for (index, (picture, file)) in files.iter().enumerate() {
            let here = fault.and_then(|(fault, place)| {
                let is_here = place % ALL == index || fault == Fault::VoidObject;
                is_here.then_some(fault)
            });
            let mut labels = picture.labels.clone();
            if self.layout == Layout::Cityscapes {
                labels
                    .data
                    .iter_mut()
                    .for_each(|label| *label = IDS[usize::from(*label)]);
            }
            match here {
                Some(Fault::OtherLabel) => labels.data[2] = 99,
                Some(Fault::VoidObject) => {
                    let objects = labels.data.iter_mut().filter(|label| **label > 0);
                    objects.for_each(|label| *label = 255);
                }
                Some(Fault::OtherSize) => {
                    labels.data.extend(vec![0; labels.width]);
                    labels.height += 1;
                }
                _ => {}
            }
            let mut mask = style.mask(&labels, self.layout);
            let mut file = file.clone();
            match here {
                Some(Fault::CutPhotograph) => file.truncate(file.len() - 15),
                Some(Fault::WebpPhotograph) => file = b"RIFF\x10\0\0\0WEBPVP8 ".to_vec(),
                Some(Fault::CutMask) => mask.truncate(mask.len() - 15),
                Some(Fault::EmptyMask) => mask.clear(),
                Some(Fault::JpegMask) => {
                    mask = jpeg(&labels, jpeg_encoder::ColorType::Luma, false, &labels.data);
                }
                Some(Fault::Grey4Mask) => {
                    let row = vec![0; labels.width.div_ceil(2) * labels.height];
                    mask = png(&labels, ColorType::Grayscale, BitDepth::Four, None, &row);
                }
                _ => {}
            }
            let [of_list, of_photograph, of_mask, _] =
                [0, 1, 2, 3].map(|place| style.spelt(&picture.name, place));
            let part = if index < TRAIN { "train" } else { "val" };
            let (ending, mask_ending) = (style.photo_ending(), style.mask_ending());
            let [photograph, mask_file] = match self.layout {
                Layout::Cityscapes => {
                    let [city, of_mask_city] =
                        [1, 2].map(|place| style.spelt("m\u{fc}nster", place));
                    [
                        format!("leftImg8bit/{part}/{city}/{of_photograph}_leftImg8bit.{ending}"),
                        format!(
                            "gtFine/{part}/{of_mask_city}/{of_mask}_gtFine_labelIds.{mask_ending}"
                        ),
                    ]
                }
                Layout::Coco => [
                    format!("{part}2017/{of_photograph}.{ending}"),
                    String::new(),
                ],
                _ => [
                    format!("JPEGImages/{of_photograph}.{ending}"),
                    format!("SegmentationClass/{of_mask}.{mask_ending}"),
                ],
            };
            if here.is_some() {
                named.extend(
                    [&photograph, &mask_file]
                        .map(|file| file.rsplit('/').next().unwrap().to_owned()),
                );
            }
            let line = match style.entry {
                Entry::Name => of_list.clone(),
                Entry::Ending => format!("{of_list}.{}", ["jpg", "JPG", "png"][index % 3]),
                Entry::Label => format!("{of_list}  {}", ["-1", "0", "1"][index % 3]),
                Entry::Paths => format!(
                    "/JPEGImages/{of_list}.{ending} /SegmentationClass/{of_list}.{mask_ending}"
                ),
                Entry::Folder => format!("JPEGImages/{of_list}.{ending}"),
            };
            lines.push(line);
            if here != Some(Fault::NoPhotograph) {
                put(photograph, &file);
            }
            if self.layout != Layout::Coco && here != Some(Fault::NoMask) {
                put(mask_file, &mask);
            }
        }
        let text_fault = fault.map(|(fault, _)| fault);
        let in_list = matches!(
            text_fault,
            Some(
                Fault::NoPhotograph
                    | Fault::NoMask
                    | Fault::WideText
                    | Fault::BrokenText
                    | Fault::Twice
            )
        );
        let faulty = |mut bytes: Vec<u8>| {
            match text_fault {
                Some(Fault::WideText) => {
                    let text = String::from_utf8(bytes).unwrap();
                    bytes = b"\xff\xfe".to_vec();
                    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
                }
                Some(Fault::BrokenText) => bytes.splice(1..1, [0xe9, 0x20]).for_each(drop),
                _ => {}
            }
            bytes
        };
        let twice = |lines: &[String]| {
            let mut lines = lines.to_vec();
            if text_fault == Some(Fault::Twice) {
                lines.push(lines[1].clone());
            }
            style.encoded(&lines)
        };
        let classes = CLASSES.map(|name| style.spelt(name, 3));
        match self.layout {
            Layout::Voc => {
                put(
                    "ImageSets/Segmentation/train.txt".into(),
                    &faulty(twice(&lines[..TRAIN])),
                );
                put(
                    "ImageSets/Segmentation/val.txt".into(),
                    &style.encoded(&lines[TRAIN..]),
                );
                put("class_names.txt".into(), &style.encoded(&classes));
                named.extend(
                    ["train.txt", "val.txt"]
                        .map(str::to_owned)
                        .into_iter()
                        .filter(|_| in_list),
                );
            }
            Layout::Labelme => {
                let names = [
                    &["__ignore__".to_owned(), "_background_".to_owned()],
                    &classes[1..],
                ]
                .concat();
                put("class_names.txt".into(), &faulty(style.encoded(&names)));
                named.extend(in_list.then(|| "class_names.txt".to_owned()));
            }
            Layout::Cvat => {
                let colours = classes.iter().zip(CVAT_COLOURS);
                let colours = colours.map(|(name, [r, g, b])| format!("{name}:{r},{g},{b}::"));
                put(
                    "labelmap.txt".into(),
                    &style.encoded(&colours.collect::<Vec<_>>()),
                );
                put(
                    "ImageSets/Segmentation/default.txt".into(),
                    &faulty(twice(&lines)),
                );
                named.extend(in_list.then(|| "default.txt".to_owned()));
            }
            Layout::Cityscapes => {}
            Layout::Coco => {
                for (part, range) in [("train", 0..TRAIN), ("val", TRAIN..ALL)] {
                    let entries = range.clone().map(|index| {
                        let (picture, _) = &files[index];
                        let name = style.spelt(&picture.name, 0);
                        let mut entry = json!({"id": index, "file_name": format!("{name}.{}", style.photo_ending())});
                        if style.sizes {
                            let here = fault.is_some_and(|(fault, place)| fault == Fault::OtherSize && place % ALL == index);
                            entry["height"] = json!(picture.rgb.height + usize::from(here));
                            entry["width"] = json!(picture.rgb.width);
                        }
                        entry
                    });
                    let objects = range.map(|index| {
                        json!({"id": index + 1, "image_id": index, "category_id": index % 2 + 1, "bbox": [0, 1, 2, 2],
                               "area": 4, "iscrowd": 0})
                    });
                    let content = json!({
                        "images": entries.collect::<Vec<_>>(),
                        "annotations": objects.collect::<Vec<_>>(),
                        "categories": [{"id": 1, "name": classes[1]}, {"id": 2, "name": "thing"}],
                    });
                    let text = style.encoded(&[content.to_string()]);
                    put(
                        format!("annotations/instances_{part}2017.json"),
                        &faulty(text),
                    );
                    // What the photographs are held against.
                    named.push(format!("instances_{part}2017.json"));
                }
            }
        }
        named
    }

    /// Whether the folder has something that must be refused, and never be read as something else.
    fn is_refused(&self) -> bool {
        self.fault.is_some() || self.layout == Layout::Coco && self.style.over_stored
    }

    fn contents(&self, root: &Path) -> Result<Contents, VisionError> {
        match self.layout {
            Layout::Coco => {
                let set = CocoFolder::open(root, &CocoOptions::default())?;
                contents(&set, |sample| (sample.rgb, format!("{:?}", sample.objects)))
            }
            _ => {
                let set = SegmentationFolder::open(root, &FolderOptions::default())?;
                for split in Split::ALL {
                    set.sizes(split)?;
                }
                contents(&set, |sample| {
                    let (rgb, labels) = sample.into_parts();
                    (rgb, format!("{labels:?}"))
                })
            }
        }
    }
}

/// Classes, and name, picture and ground truth of every sample in its split.
type Contents = (Vec<String>, Vec<(Split, String, Vec<u8>, String)>);

fn contents<F: DataFolder>(
    set: &F,
    parts: impl Fn(F::Sample) -> (Vec<u8>, String),
) -> Result<Contents, VisionError> {
    let mut found = Vec::new();
    for split in Split::ALL {
        if !set.is_empty(split) {
            set.check(split)?;
        }
    }
    for (split, index) in set.all() {
        let name = set.name(split, index).unwrap().to_owned();
        let (rgb, truth) = parts(set.sample(split, index)?);
        found.push((split, name, rgb, truth));
    }
    Ok((set.class_names().to_vec(), found))
}

fn styles(layout: Layout) -> impl Strategy<Value = (Style, (usize, usize))> {
    use Mask::*;
    let masks = match layout {
        // Cityscapes' ids are none of a palette's first sixteen.
        Layout::Cityscapes => vec![Palette, Grey, WideGrey, OpaqueGrey],
        Layout::Cvat => vec![Palette, Palette4, Grey, Colours],
        _ => vec![
            Palette, Palette4, Grey, WideGrey, OpaqueGrey, OneBit, Colours,
        ],
    };
    let photos = vec![
        Photo::Jpeg,
        Photo::Progressive,
        Photo::GreyJpeg,
        Photo::Cmyk,
        Photo::Ycck,
        Photo::Png,
        Photo::GreyPng,
        Photo::WidePng,
        Photo::AlphaPng,
    ];
    let entries = vec![
        Entry::Name,
        Entry::Ending,
        Entry::Label,
        Entry::Paths,
        Entry::Folder,
    ];
    let encodings = vec![
        Encoding::Lines,
        Encoding::Crlf,
        Encoding::Mark,
        Encoding::MarkAndCrlf,
        Encoding::Spaces,
    ];
    let stems = vec![
        "p",
        "2007_",
        "\u{e9}t\u{e9} ",
        "a b ",
        "t 12:",
        "\u{d55c}\u{ae00}",
        "v1.jpg_",
        "\u{c5}-",
    ];
    let stored = (
        select(photos),
        select(masks),
        1u8..=8,
        any::<bool>(),
        any::<bool>(),
    );
    let named = (
        select(entries),
        select(encodings),
        select(stems),
        0usize..4,
        0usize..3,
        any::<[bool; 4]>(),
    );
    (stored, named, 4usize..9, 4usize..9).prop_map(|(stored, named, height, width)| {
        let (photo, mask, orientation, over_stored, sizes) = stored;
        let (entry, encoding, stem, ending, mask_ending, decomposed) = named;
        // Only where the sizes differ can a reader know; where annotations have none it is the upright one.
        let over_stored = over_stored && orientation >= 5 && height != width && sizes;
        let style = Style {
            photo,
            mask,
            entry,
            encoding,
            stem,
            ending,
            mask_ending,
            decomposed,
            orientation,
            over_stored,
            sizes,
        };
        (style, (height, width))
    })
}

fn faults(layout: Layout) -> Vec<Fault> {
    use Fault::*;
    match layout {
        // A folder without splits is what has both files.
        Layout::Labelme => vec![
            CutPhotograph,
            CutMask,
            EmptyMask,
            WebpPhotograph,
            JpegMask,
            Grey4Mask,
            OtherSize,
            OtherLabel,
            WideText,
            VoidObject,
            BrokenText,
        ],
        Layout::Cvat => vec![
            CutPhotograph,
            CutMask,
            EmptyMask,
            WebpPhotograph,
            JpegMask,
            Grey4Mask,
            OtherSize,
            OtherLabel,
            WideText,
            VoidObject,
            BrokenText,
            Twice,
        ],
        Layout::Cityscapes => vec![
            NoMask,
            CutPhotograph,
            CutMask,
            EmptyMask,
            WebpPhotograph,
            JpegMask,
            Grey4Mask,
            OtherSize,
            OtherLabel,
        ],
        Layout::Coco => vec![
            NoPhotograph,
            CutPhotograph,
            WebpPhotograph,
            OtherSize,
            WideText,
            BrokenText,
        ],
        Layout::Voc => vec![
            NoPhotograph,
            NoMask,
            CutPhotograph,
            CutMask,
            EmptyMask,
            WebpPhotograph,
            JpegMask,
            Grey4Mask,
            OtherSize,
            OtherLabel,
            WideText,
            VoidObject,
            BrokenText,
            Twice,
        ],
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let layouts = vec![
        Layout::Voc,
        Layout::Labelme,
        Layout::Cvat,
        Layout::Cityscapes,
        Layout::Coco,
    ];
    select(layouts).prop_flat_map(|layout| {
        let fault = prop::option::weighted(0.3, (select(faults(layout)), 0..ALL));
        (styles(layout), any::<u64>(), fault).prop_map(move |((mut style, size), seed, fault)| {
            // A value that the mask cannot store is no label of it.
            if matches!(fault, Some((Fault::OtherLabel | Fault::VoidObject, _)))
                && matches!(style.mask, Mask::OneBit | Mask::Palette4 | Mask::Colours)
            {
                style.mask = Mask::Grey;
            }
            // Without a size in the annotations none is wrong.
            style.sizes |= matches!(fault, Some((Fault::OtherSize, _)));
            Case {
                layout,
                style,
                size,
                seed,
                fault,
            }
        })
    })
}

fn number() -> u32 {
    match std::env::var("AUTOLOSS_SLOW_TESTS").as_deref() {
        Ok("1") => 4000,
        _ => 200,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(number()) })]

    #[test]
    fn a_folder_gives_what_a_plain_one_gives_or_an_error_that_names_a_file(case in cases()) {
        let place = tempfile::tempdir().unwrap();
        let (plain, styled) = (place.path().join("plain"), place.path().join("styled"));
        let pictures = case.pictures();
        case.write_plain(&plain, &pictures);
        let named = case.write_styled(&styled, &pictures);
        let expected = case.contents(&plain).unwrap();
        prop_assert_eq!(expected.1.len(), ALL);
        for (_, name, rgb, _) in &expected.1 {
            let is_own = |picture: &&Picture| name.ends_with(&picture.name) && picture.rgb.data == *rgb;
            prop_assert!(pictures.iter().any(|picture| is_own(&picture)), "{name}");
        }
        match case.contents(&styled) {
            Ok(found) => {
                prop_assert!(!case.is_refused(), "what must be refused was read");
                prop_assert!(found == expected, "{:?}\n{:?}", found.1[0], expected.1[0]);
            }
            Err(error) => {
                let root = format!("{}/", styled.display());
                let message = error.to_string();
                prop_assert!(case.is_refused(), "{message}");
                let names_file = named.iter().any(|file| !file.is_empty() && message.contains(file.as_str()));
                prop_assert!(case.style.over_stored || names_file, "{message}");
                prop_assert!(message.contains(&root), "{message}");
                let length = message.replace(&root, "").chars().count();
                prop_assert!(length <= 300, "{length} characters: {message}");
            }
        }
    }
}
