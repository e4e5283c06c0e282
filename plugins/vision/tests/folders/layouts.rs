//! The layouts that are recognised.

use crate::shared::{assert_says, names_of, write};
use crate::support::{Voc, names, sample};
use autoloss_vision::codec::{encode_jpeg, encode_labels};
use autoloss_vision::data::DataFolder;
use autoloss_vision::folder::VOC_CLASSES;
use autoloss_vision::{FolderOptions, SegmentationFolder, Split};
use std::fs;

fn open(path: &std::path::Path) -> SegmentationFolder {
    SegmentationFolder::open(path, &FolderOptions::default()).unwrap()
}

fn trainaug() -> FolderOptions {
    FolderOptions {
        train_list: "trainaug".to_owned(),
        ..FolderOptions::default()
    }
}

#[test]
fn the_folder_above_voc2012_may_be_named() {
    let voc = Voc::of(4, 2);
    let above = voc.root.parent().unwrap();
    let set = open(above);
    assert_eq!(set.root(), voc.root);
    assert_eq!(set.class_names(), VOC_CLASSES);
    assert!(set.notes().is_empty());
    fs::create_dir_all(above.join("VOC2007/JPEGImages")).unwrap();
    fs::create_dir_all(above.join("VOC2007/SegmentationClass")).unwrap();
    let set = open(above);
    assert_eq!(set.root(), voc.root);
    assert_says(
        &set.notes().join(""),
        &["VOC2012 is read, not the 1 earlier"],
    );

    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("VOCdevkit")).unwrap();
    fs::rename(&voc.root, place.path().join("VOCdevkit/VOC2012")).unwrap();
    assert_eq!(open(place.path()).all().count(), 6);
}

#[test]
fn masks_of_sbd_serve_the_training_list_and_fall_back_to_vocs() {
    let voc = Voc::of(4, 2);
    voc.list("trainaug", "a0\na1\ns0\n");
    voc.photograph("s0", 6, 8);
    for (name, label) in [("s0", 7), ("a0", 8), ("b0", 9)] {
        voc.mask("SegmentationClassAug", name, 6, 8, label);
    }
    let set = voc.open_with(&trainaug()).unwrap();
    let label = |set: &SegmentationFolder, name: &str| sample(set, name).unwrap().labels()[0];
    let labels = ["s0", "a0", "a1", "b0", "b1"].map(|name| label(&set, name));
    assert_eq!(labels, [7, 8, 1, 1, 1]);
    // The list `train` is VOC's own.
    assert_eq!(label(&voc.open().unwrap(), "a0"), 1);
}

#[test]
fn lists_in_the_form_of_deeplab_name_both_files() {
    let voc = Voc::of(4, 2);
    voc.mask("SegmentationClassAug", "a0", 6, 8, 5);
    voc.list(
        "trainaug",
        "/JPEGImages/a0.jpg /SegmentationClassAug/a0.png\n/JPEGImages/a1.jpg /SegmentationClass/a1.png \n",
    );
    let set = voc.open_with(&trainaug()).unwrap();
    assert_eq!(sample(&set, "a0").unwrap().labels()[0], 5);
    assert_eq!(sample(&set, "a1").unwrap().labels()[0], 1);
}

#[test]
fn photographs_may_end_in_jpeg_or_png() {
    let voc = Voc::of(4, 2);
    let from = |name: &str| voc.root.join("JPEGImages").join(name);
    fs::rename(from("a0.jpg"), from("a0.jpeg")).unwrap();
    fs::rename(from("a1.jpg"), from("a1.JPG")).unwrap();
    let set = voc.open().unwrap();
    for name in ["a0", "a1"] {
        assert!(sample(&set, name).is_ok());
    }
}

#[test]
fn without_lists_every_picture_with_a_mask_is_used() {
    let voc = Voc::of(20, 0);
    fs::remove_dir_all(voc.root.join("ImageSets")).unwrap();
    voc.photograph("lonely", 6, 8);
    voc.mask("SegmentationClass", "orphan", 6, 8, 1);
    fs::rename(
        voc.root.join("SegmentationClass"),
        voc.root.join("SegmentationClassPNG"),
    )
    .unwrap();
    // labelme keeps arrays under the usual name.
    voc.write("SegmentationClass/a0.npy", b"numbers");
    // Archives from macOS hold a hidden companion of every file.
    voc.write("JPEGImages/._a0.jpg", b"attributes");
    voc.write("SegmentationClassPNG/._a0.png", b"attributes");
    voc.write("class_names.txt", b"__ignore__\n_background_\nthing");
    let set = voc.open().unwrap();
    assert_eq!(set.class_names(), ["background", "thing"]);
    set.require_splits().unwrap();
    let mut found: Vec<String> = Split::ALL.map(|split| names_of(&set, split)).concat();
    found.sort();
    let mut expected = names("a", 20);
    expected.sort();
    assert_eq!(found, expected);
    assert_says(
        &set.notes().join("; "),
        &["1 photographs have no mask", "1 masks have no photograph"],
    );
}

/// Two cities to train on and one to test on; raw ids, and train ids beside one of them.
fn cityscapes() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (part, city, count) in [
        ("train", "aachen", 6),
        ("train", "bochum", 6),
        ("val", "munster", 2),
    ] {
        for index in 0..count {
            let stem = format!("{city}_00000{index}_000019");
            let photograph = png_photograph();
            let file = format!("leftImg8bit/{part}/{city}/{stem}_leftImg8bit.png");
            write(place.path(), &file, &photograph);
            let ids = encode_labels(1, 4, &[7, 0, 26, 33]).unwrap();
            let file = format!("gtFine/{part}/{city}/{stem}_gtFine_labelIds.png");
            write(place.path(), &file, &ids);
        }
    }
    let ids = encode_labels(1, 4, &[3, 255, 3, 3]).unwrap();
    // A stray file where cities are expected.
    write(place.path(), "leftImg8bit/train/README.txt", b"text");
    let file = "gtFine/val/munster/munster_000001_000019_gtFine_labelTrainIds.png";
    write(place.path(), file, &ids);
    place
}

fn png_photograph() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[50; 12]).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn cityscapes_is_read_with_raw_ids_mapped_to_its_19_classes() {
    let place = cityscapes();
    let set = open(place.path());
    assert_eq!(set.num_classes(), 19);
    set.require_splits().unwrap();
    assert_eq!(
        names_of(&set, Split::Test),
        [
            "munster/munster_000000_000019",
            "munster/munster_000001_000019"
        ]
    );
    assert_eq!(set.all().count(), 14);
    assert_eq!(
        set.sample(Split::Test, 0).unwrap().labels(),
        [0, 255, 13, 18]
    );
    assert_eq!(set.sample(Split::Test, 1).unwrap().labels(), [3, 255, 3, 3]);
    let sizes = set.sizes(Split::Train).unwrap();
    assert!(sizes.iter().all(|size| *size == Some((1, 4))), "{sizes:?}");
}

#[test]
fn faults_of_cityscapes_are_named() {
    let place = cityscapes();
    let open = |options: &FolderOptions| SegmentationFolder::open(place.path(), options);
    assert_says(
        &open(&trainaug()).unwrap_err().to_string(),
        &["train_list is \"trainaug\""],
    );
    let mask = "gtFine/train/aachen/aachen_000002_000019_gtFine_labelIds.png";
    write(
        place.path(),
        mask,
        &encode_labels(1, 4, &[7, 34, 34, 0]).unwrap(),
    );
    let set = open(&FolderOptions::default()).unwrap();
    let message = sample(&set, "aachen/aachen_000002_000019")
        .unwrap_err()
        .to_string();
    assert_says(
        &message,
        &[
            "label 34 in 2 pixels, first at row 0, column 1",
            "expected 0 to 33",
        ],
    );
    fs::remove_file(place.path().join(mask)).unwrap();
    let message = open(&FolderOptions::default()).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "aachen_000002_000019_leftImg8bit.png",
            "neither its labelTrainIds",
        ],
    );
    let skip = FolderOptions {
        skip_bad: true,
        ..FolderOptions::default()
    };
    assert_eq!(open(&skip).unwrap().skipped().len(), 1);
    fs::remove_dir_all(place.path().join("leftImg8bit/val")).unwrap();
    let message = open(&skip).unwrap_err().to_string();
    assert_says(&message, &["leftImg8bit/val: it has no picture"]);
}

#[test]
fn samples_are_read_by_many_threads_alike() {
    let voc = Voc::of(6, 2);
    for (index, name) in names("a", 6).iter().enumerate() {
        let rgb: Vec<u8> = (0..144).map(|byte| (byte * index % 256) as u8).collect();
        voc.write(
            &format!("JPEGImages/{name}.jpg"),
            &encode_jpeg(6, 8, &rgb).unwrap(),
        );
    }
    let set = voc.open().unwrap();
    let read = || -> Vec<_> {
        let samples = set
            .all()
            .map(|(split, index)| set.sample(split, index).unwrap());
        samples.collect()
    };
    let expected = read();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

#[test]
fn cvat_names_the_classes_with_their_colours_and_one_list() {
    let voc = Voc::of(9, 0);
    let list = voc.root.join("ImageSets/Segmentation");
    fs::rename(list.join("train.txt"), list.join("default.txt")).unwrap();
    fs::remove_file(list.join("val.txt")).unwrap();
    // Label 1 of the masks has VOC's colour of 1, which this list gives to its third class.
    let text =
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:0,128,0::\ndog:128,0,0::\n";
    voc.write("labelmap.txt", text.as_bytes());
    let set = open(&voc.root);
    assert_eq!(set.class_names(), ["background", "cat", "dog"]);
    assert_eq!(set.all().count(), 9);
    for (split, index) in set.all() {
        let sample = set.sample(split, index).unwrap();
        assert!(sample.labels().iter().all(|&label| label == 2));
    }
    voc.write("labelmap.txt", b"cat:0,0,1::\n");
    let set = open(&voc.root);
    let message = set.sample(Split::Train, 0).unwrap_err().to_string();
    assert_says(&message, &["the colour [128, 0, 0]", "labelmap.txt"]);
}

#[test]
fn endings_in_capitals_are_endings() {
    let voc = Voc::of(6, 2);
    let rename = |folder: &str, from: &str, to: &str| {
        let folder = voc.root.join(folder);
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    };
    let plain = splits_of(&open(&voc.root));
    rename("JPEGImages", "a1.jpg", "a1.JPG");
    rename("JPEGImages", "a2.jpg", "a2.Jpeg");
    rename("SegmentationClass", "a1.png", "a1.PNG");
    rename("SegmentationClass", "b0.png", "b0.Png");
    rename("ImageSets/Segmentation", "val.txt", "val.TXT");
    let set = open(&voc.root);
    assert_eq!(splits_of(&set), plain);
    assert!(set.notes().is_empty());
    for (split, index) in set.all() {
        set.sample(split, index).unwrap();
    }
    fs::remove_dir_all(voc.root.join("ImageSets")).unwrap();
    assert_eq!(open(&voc.root).all().count(), 8);
}

#[test]
fn cityscapes_may_have_capitals_and_smaller_photographs() {
    let place = cityscapes();
    let plain = splits_of(&open(place.path()));
    let of = |part: &str| place.path().join(part);
    let stem = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit";
    fs::rename(of(&format!("{stem}.png")), of(&format!("{stem}.PNG"))).unwrap();
    let stem = "gtFine/val/munster/munster_000000_000019_gtFine_labelIds";
    fs::rename(of(&format!("{stem}.png")), of(&format!("{stem}.PNG"))).unwrap();
    let stem = "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit";
    fs::rename(of(&format!("{stem}.png")), of(&format!("{stem}.JPG"))).unwrap();
    assert_eq!(splits_of(&open(place.path())), plain);
    // A city whose letters are composed in one folder and not in the other.
    fs::rename(
        of("leftImg8bit/val/munster"),
        of("leftImg8bit/val/mu\u{308}nster"),
    )
    .unwrap();
    fs::rename(of("gtFine/val/munster"), of("gtFine/val/m\u{fc}nster")).unwrap();
    let set = open(place.path());
    assert_eq!(
        names_of(&set, Split::Test)[0],
        "m\u{fc}nster/munster_000000_000019"
    );
    set.sample(Split::Test, 0).unwrap();
}

/// The names of the four splits.
fn splits_of(set: &SegmentationFolder) -> Vec<Vec<String>> {
    Split::ALL.map(|split| names_of(set, split)).to_vec()
}

#[test]
fn names_are_the_same_however_their_letters_are_spelt() {
    let (composed, decomposed) = ("stra\u{df}e_\u{e9}t\u{e9}", "stra\u{df}e_e\u{301}te\u{301}");
    let folder = |of_list: &str, of_files: &str| {
        let voc = Voc::of(9, 2);
        voc.picture(&format!("{of_files}0"));
        voc.picture(&format!("{of_files}1"));
        voc.list(
            "train",
            &format!("a0\na1\na2\na3\na4\na5\na6\na7\na8\n{of_list}0\n"),
        );
        voc.list("reward", &format!("{of_list}1"));
        let set = open(&voc.root);
        for (split, index) in set.all() {
            set.sample(split, index).unwrap();
        }
        fs::remove_dir_all(voc.root.join("ImageSets")).unwrap();
        (splits_of(&set), splits_of(&open(&voc.root)))
    };
    let plain = folder(composed, composed);
    assert_eq!(plain.0[1], [format!("{composed}1")]);
    for (of_list, of_files) in [
        (composed, decomposed),
        (decomposed, composed),
        (decomposed, decomposed),
    ] {
        assert_eq!(folder(of_list, of_files), plain);
    }
    let voc = Voc::of(4, 2);
    voc.picture(composed);
    voc.list("train", &format!("a0\n{composed}\n{decomposed}"));
    assert_says(
        &voc.refusal(),
        &["train.txt, line 3: ", "is on line 2 already"],
    );
}

#[test]
fn names_with_spaces_colons_endings_and_labels_are_found() {
    let voc = Voc::of(6, 2);
    for name in ["my photo", "my photo 1", "t 12:30", "dotted.jpg"] {
        voc.picture(name);
    }
    voc.list(
        "train",
        "a0.jpg\na1  -1\nmy photo\nmy photo 1\nt 12:30.jpg 0\ndotted.jpg\nJPEGImages/a2.JPG\n\
         /JPEGImages/a3.jpg /SegmentationClass/a3.png\n",
    );
    let set = open(&voc.root);
    let mut found: Vec<String> = splits_of(&set)[..3].concat();
    found.sort();
    let expected = [
        "a0",
        "a1",
        "a2",
        "a3",
        "dotted.jpg",
        "my photo",
        "my photo 1",
        "t 12:30",
    ];
    assert_eq!(found, expected);
    assert_says(
        &set.notes().join("; "),
        &[
            "2 lines of ",
            "train.txt have a number behind the name, which is not used",
        ],
    );
    for (split, index) in set.all() {
        set.sample(split, index).unwrap();
    }
}

#[test]
fn files_of_other_formats_are_named_as_such() {
    let voc = Voc::of(4, 2);
    let rename = |from: &str, to: &str| fs::rename(voc.root.join(from), voc.root.join(to)).unwrap();
    rename("JPEGImages/a1.jpg", "JPEGImages/a1.WEBP");
    assert_says(
        &voc.refusal(),
        &[
            "train.txt, line 2: \"a1\"",
            "JPEGImages/a1.WEBP is in a format that is not read; save it as JPEG or PNG",
        ],
    );
    rename("JPEGImages/a1.WEBP", "JPEGImages/a1.jpg");
    rename("SegmentationClass/a0.png", "SegmentationClass/a0.jpg");
    assert_says(
        &voc.refusal(),
        &["its mask SegmentationClass/a0.jpg is no PNG; save masks as PNG"],
    );
    fs::remove_dir_all(voc.root.join("ImageSets")).unwrap();
    rename("JPEGImages/a2.jpg", "JPEGImages/a2.tif");
    // What has a file that is read needs no note.
    voc.write("SegmentationClass/a3.jpg", b"seen by people alone");
    let notes = open(&voc.root).notes().join("; ");
    assert_says(
        &notes,
        &[
            "1 files of JPEGImages are in a format that is not read: a2.tif; save photographs as JPEG or PNG",
            "1 files of SegmentationClass are in a format that is not read: a0.jpg; save masks as PNG",
        ],
    );
}
