//! Example predictions, as the host leaves them in the run folder's `pictures/`: an `index.json` and PNG
//! files beside it. The folder may come from anywhere, so a file must lie within it, be a picture that
//! decodes, and fit what is left of the page's budget; what does not is left out and counted in a note.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use crate::source::noted;
use autoloss_run::PictureIndex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Most bytes of one file.
const LARGEST_FILE: u64 = 1 << 20;

/// Most pixels along a side.
const LONGEST_SIDE: u32 = 4096;

/// Example predictions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pictures {
    pub(crate) split: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) sample: String,
    pub(crate) cells: Vec<Cell>,
}

/// One picture of a sample, and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) picture: Option<Picture>,
    pub(crate) caption: String,
}

/// A picture as it goes into the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) data: String,
}

/// The pictures of a run, where it has some.
pub(crate) fn read(run: &Path, budget: usize, notes: &mut Vec<String>) -> Option<Pictures> {
    let folder = PictureIndex::folder(run);
    let index = noted(PictureIndex::read(run), notes).flatten()?;
    let mut left = budget as u64;
    let mut refused = 0usize;
    let columns = index.columns.len();
    let mut rows = Vec::new();
    for row in index.rows {
        let mut files = row.files.into_iter();
        let mut captions = row.captions.into_iter();
        let cells = (0..columns).map(|_| {
            let name = files.next().flatten();
            let picture = name
                .as_deref()
                .and_then(|name| picture(&folder, name, &mut left));
            refused += usize::from(name.is_some() && picture.is_none());
            Cell {
                picture,
                caption: captions.next().flatten().unwrap_or_default(),
            }
        });
        let cells: Vec<Cell> = cells.collect();
        let sample = match row.sample {
            serde_json::Value::String(name) => name,
            other => other.to_string(),
        };
        if cells.iter().any(|cell| cell.picture.is_some()) {
            rows.push(Row { sample, cells });
        }
    }
    if refused > 0 {
        notes.push(format!(
            "{refused} of the example pictures were left out: they are missing, no PNG files of at most \
             1 MiB within the folder pictures/, or more than the page has room for."
        ));
    }
    (!rows.is_empty()).then_some(Pictures {
        split: index.split,
        columns: index.columns,
        rows,
    })
}

fn picture(folder: &Path, name: &str, left: &mut u64) -> Option<Picture> {
    let path = inside(folder, name)?;
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE.min(*left) {
        return None;
    }
    let mut bytes = Vec::new();
    BufReader::new(file)
        .take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .ok()?;
    let (width, height) = decoded_size(&bytes)?;
    *left = left.saturating_sub(bytes.len() as u64);
    Some(Picture {
        width,
        height,
        data: format!("data:image/png;base64,{}", STANDARD.encode(&bytes)),
    })
}

/// A file's real path, where it lies in the folder.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let relative = Path::new(name);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(relative).canonicalize().ok()?;
    path.starts_with(&folder).then_some(path)
}

/// The size of a PNG that decodes to its end.
fn decoded_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let limits = png::Limits { bytes: 64 << 20 };
    let decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    let mut reader = decoder.read_info().ok()?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > LONGEST_SIDE || height > LONGEST_SIDE {
        return None;
    }
    let mut pixels = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut pixels).ok()?;
    Some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_file(path: &Path, side: u32) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), side, side);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer
            .write_image_data(&vec![7; (side * side) as usize])
            .unwrap();
    }

    fn run(files: &str) -> (Option<Pictures>, Vec<String>) {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("pictures");
        std::fs::create_dir(&folder).unwrap();
        png_file(&folder.join("a.png"), 8);
        png_file(&run.path().join("outside.png"), 8);
        std::fs::write(folder.join("fake.png"), "<svg onload=alert(1)>").unwrap();
        let whole = std::fs::read(folder.join("a.png")).unwrap();
        std::fs::write(folder.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../outside.png", folder.join("link.png")).unwrap();
        let index = format!(
            r#"{{"split": "test", "columns": ["input", "found"], "rows": [{{"sample": 12, "files": {files}, "captions": ["c"]}}]}}"#
        );
        std::fs::write(folder.join("index.json"), index).unwrap();
        let mut notes = Vec::new();
        let found = read(run.path(), 4096, &mut notes);
        (found, notes)
    }

    #[test]
    fn pictures_go_into_the_page() {
        let (pictures, notes) = run(r#"["a.png", null]"#);
        let pictures = pictures.unwrap();
        assert!(notes.is_empty());
        let cells = &pictures.rows[0].cells;
        assert_eq!((pictures.rows[0].sample.as_str(), cells.len()), ("12", 2));
        let picture = cells[0].picture.as_ref().unwrap();
        assert_eq!((picture.width, picture.height), (8, 8));
        assert!(picture.data.starts_with("data:image/png;base64,iVBOR"));
        assert_eq!((cells[0].caption.as_str(), &cells[1].picture), ("c", &None));
    }

    #[test]
    fn what_is_no_picture_of_the_folder_is_left_out() {
        for name in [
            "../outside.png",
            "link.png",
            "/etc/passwd",
            "fake.png",
            "cut.png",
            "none.png",
            "",
        ] {
            let (pictures, notes) = run(&format!(r#"["{name}", "a.png"]"#));
            assert_eq!(pictures.unwrap().rows[0].cells[0].picture, None, "{name}");
            assert!(
                notes[0].starts_with("1 of the example pictures"),
                "{name}: {notes:?}"
            );
        }
    }

    #[test]
    fn the_budget_holds_and_a_damaged_index_is_named() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("pictures");
        let mut notes = Vec::new();
        assert_eq!(read(run.path(), 10, &mut notes), None);
        assert!(notes.is_empty());
        std::fs::create_dir(&folder).unwrap();
        png_file(&folder.join("a.png"), 8);
        let index = r#"{"columns": ["x"], "rows": [{"sample": "s", "files": ["a.png"]}]}"#;
        std::fs::write(folder.join("index.json"), index).unwrap();
        assert_eq!(read(run.path(), 10, &mut notes), None);
        assert_eq!(notes.len(), 1);
        std::fs::write(folder.join("index.json"), "[").unwrap();
        assert_eq!(read(run.path(), 10, &mut notes), None);
        assert!(notes[1].contains("index.json is damaged: "), "{notes:?}");
    }
}
