//! Events as protobuf messages, and their framing. Field numbers are those of TensorBoard's `event.proto`,
//! `summary.proto` and `tensor.proto`; fields we never write are left out.

use prost::Message;

/// Code of strings in `types.proto`.
const STRING: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    strings: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    sizes: Vec<Size>,
}

#[derive(Clone, PartialEq, Message)]
struct Size {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
}

impl Event {
    /// The first event of a file.
    pub(super) fn version(wall_time: f64) -> Self {
        Self {
            wall_time,
            step: 0,
            file_version: Some("brain.Event:2".to_owned()),
            summary: None,
        }
    }

    pub(super) fn new(wall_time: f64, step: u64, value: Value) -> Self {
        Self {
            wall_time,
            step: i64::try_from(step).unwrap_or(i64::MAX),
            file_version: None,
            summary: Some(Summary {
                values: vec![value],
            }),
        }
    }

    pub(super) fn step(&self) -> i64 {
        self.step
    }
}

impl Value {
    pub(super) fn scalar(tag: &str, value: f32) -> Self {
        Self {
            tag: tag.to_owned(),
            simple_value: Some(value),
            tensor: None,
            metadata: None,
        }
    }

    /// Markdown.
    pub(super) fn text(tag: &str, text: String) -> Self {
        Self {
            tag: tag.to_owned(),
            simple_value: None,
            tensor: Some(Tensor {
                kind: STRING,
                shape: Some(Shape {
                    sizes: vec![Size { size: 1 }],
                }),
                strings: vec![text.into_bytes()],
            }),
            metadata: Some(Metadata {
                plugin: Some(Plugin {
                    name: "text".to_owned(),
                }),
            }),
        }
    }
}

/// Appends a record: length, its checksum, the message, its checksum.
pub(super) fn append(bytes: &mut Vec<u8>, event: &Event) {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked_checksum(&length).to_le_bytes());
    bytes.extend(&message);
    bytes.extend(masked_checksum(&message).to_le_bytes());
}

/// CRC-32C, rotated and moved, so that a checksum of data that holds checksums is no trivial one.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_framing_of_event_files() {
        let mut bytes = Vec::new();
        append(&mut bytes, &Event::version(0.0));
        // As TensorBoard 2.21's own writer frames the same message.
        let length = [15, 0, 0, 0, 0, 0, 0, 0, 109, 83, 43, 9];
        let message = b"\x1a\rbrain.Event:2";
        let expected = [&length[..], message, &[252, 152, 81, 41]].concat();
        assert_eq!(bytes, expected);
    }
}
