//! `python/tools/to_safetensors.py` on files of PyTorch, which `python/oracles/torch_files.py` wrote.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program says, and the header of what it wrote.
fn convert(source: &Path) -> Result<Value, String> {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("converted.safetensors");
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/tools/to_safetensors.py");
    let mut command = Command::new("python3");
    let done = command
        .arg("-B")
        .arg(tool)
        .arg(source)
        .arg(&target)
        .output()
        .unwrap();
    if !done.status.success() {
        return Err(String::from_utf8(done.stderr).unwrap());
    }
    let bytes = std::fs::read(target).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    Ok(serde_json::from_slice(&bytes[8..8 + length]).unwrap())
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(name)
}

#[test]
fn a_checkpoint_gives_its_tensors_whatever_lies_beside_them() {
    let expected = convert(&fixture("small_ordered.pt")).unwrap();
    assert_eq!(expected["head.bias"]["shape"], serde_json::json!([6]));
    // Options, an optimiser, functions and sets beside the key `model`.
    assert_eq!(convert(&fixture("small_checkpoint.pt")).unwrap(), expected);
}

#[test]
fn files_without_tensors_are_refused_in_one_sentence() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("f.pt");
    // A pickle of the old format: magic number, protocol, system, then nine keys without a tensor.
    let mut bytes = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(b"\x80\x02}X\x0d\0\0\0little_endian\x88s.\x80\x02}(");
    for key in 0..9 {
        bytes.extend([b"X\x04\0\0\0key".as_slice(), &[b'0' + key, b'K', key]].concat());
    }
    bytes.extend(b"u.");
    std::fs::write(&file, bytes).unwrap();
    let message = convert(&file).unwrap_err();
    let keys = "it holds no tensors by name; its keys are: key0, key1, key2, key3, key4, …";
    assert!(
        message.contains(keys) && message.contains("f.pt was not converted"),
        "{message}"
    );
    assert!(
        message.lines().count() == 1 && message.len() < 300,
        "{message}"
    );
}
