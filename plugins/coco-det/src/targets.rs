//! The ground truth of a batch as tensors, and back.
//!
//! Pictures have different numbers of objects; a batch has room for the most of them. The
//! class of padding is 0.

use autoloss_plugin_api::{Result, Tensors};
use autoloss_vision::coco::CocoObject;
use tch::{Device, Kind, Tensor};

/// Names of the tensors, by object, (N, M, …).
const BOXES: &str = "boxes";
const LABELS: &str = "labels";
const STATES: &str = "states";
const ANNOTATED: &str = "annotated";
/// By picture, (N, …).
const PICTURES: &str = "pictures";
const SCALES: &str = "scales";

/// An object to train on.
const TRAINED: i64 = 0;
/// An object without extent, or padding.
const INVALID: i64 = 1;
/// A region of many objects.
const CROWD: i64 = 2;
/// A box around any picture.
const EVERYWHERE: [f32; 4] = [-1e4, -1e4, 1e5, 1e5];
/// Stands for an annotation without id.
const NO_ID: i64 = -1;

/// Collects the objects of pictures.
#[derive(Default)]
pub(crate) struct Collector {
    rows: Vec<Vec<Row>>,
    pictures: Vec<i64>,
    scales: Vec<f64>,
}

/// An object.
struct Row {
    corners: [f32; 4],
    class: i64,
    state: i64,
    /// As annotated: left, top, width, height, area, id.
    annotated: [f64; 6],
}

impl Collector {
    /// Adds a picture's objects; `corners` tells where each lies in the batch's picture, which is `scale`
    /// (rows, columns) times the original.
    pub(crate) fn push(
        &mut self,
        picture: u64,
        objects: &[CocoObject],
        scale: [f64; 2],
        corners: impl Fn(&CocoObject) -> [f32; 4],
    ) {
        let row = |object: &CocoObject| {
            let [left, top, width, height] = object.bbox;
            let id = object.annotation.map_or(NO_ID as f64, |id| id as f64);
            Row {
                corners: corners(object),
                class: object.class as i64,
                state: match (object.crowd, object.valid) {
                    (true, _) => CROWD,
                    (false, true) => TRAINED,
                    (false, false) => INVALID,
                },
                annotated: [left, top, width, height, object.area, id],
            }
        };
        self.rows.push(objects.iter().map(row).collect());
        self.pictures.push(picture as i64);
        self.scales.extend(scale);
    }

    /// Adds a picture that could not be read: nothing in it is an object or background, and it is not
    /// scored.
    pub(crate) fn push_nothing(&mut self) {
        self.rows.push(vec![Row {
            corners: EVERYWHERE,
            class: 0,
            state: CROWD,
            annotated: [0.0; 6],
        }]);
        self.pictures.push(NO_ID);
        self.scales.extend([1.0, 1.0]);
    }

    /// `boxes` (N, M, 4) in pixels of the batch, `labels` (N, M), `states` (N, M), and what scores need:
    /// `annotated` (N, M, 6), `pictures` (N) and `scales` (N, 2).
    ///
    /// # Errors
    /// libtorch's own.
    pub(crate) fn into_tensors(self) -> Result<Tensors> {
        let room = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let count = self.rows.len() as i64;
        let (mut boxes, mut labels, mut states, mut annotated) = (vec![], vec![], vec![], vec![]);
        for rows in &self.rows {
            for row in rows {
                boxes.extend(row.corners);
                labels.push(row.class);
                states.push(row.state);
                annotated.extend(row.annotated);
            }
            let rest = room - rows.len();
            boxes.extend(std::iter::repeat_n(0.0, 4 * rest));
            labels.extend(std::iter::repeat_n(0, rest));
            states.extend(std::iter::repeat_n(INVALID, rest));
            annotated.extend(std::iter::repeat_n(0.0, 6 * rest));
        }
        let room = room as i64;
        let shaped = |tensor: Tensor, last: i64| tensor.f_view([count, room, last]);
        let flat = |tensor: Tensor| tensor.f_view([count, room]);
        Ok(Tensors::new()
            .with(BOXES, shaped(Tensor::f_from_slice(&boxes)?, 4)?)
            .with(LABELS, flat(Tensor::f_from_slice(&labels)?)?)
            .with(STATES, flat(Tensor::f_from_slice(&states)?)?)
            .with(ANNOTATED, shaped(Tensor::f_from_slice(&annotated)?, 6)?)
            .with(PICTURES, Tensor::f_from_slice(&self.pictures)?)
            .with(
                SCALES,
                Tensor::f_from_slice(&self.scales)?.f_view([count, 2])?,
            ))
    }
}

/// The ground truth of one picture that a detector is trained on.
pub(crate) struct Truth {
    /// (M, 4).
    pub(crate) boxes: Tensor,
    /// (M), from 1.
    pub(crate) labels: Tensor,
    /// Regions in which nothing is background, (K, 4).
    pub(crate) ignored: Tensor,
}

/// The ground truth of every picture, on a device.
///
/// # Errors
/// Tensors that are missing or of another shape.
pub(crate) fn truths(targets: &Tensors, device: Device) -> Result<Vec<Truth>> {
    let read = |name: &str| -> Result<Tensor> { Ok(targets.get(name)?.f_to_device(device)?) };
    let (boxes, labels, states) = (read(BOXES)?, read(LABELS)?, read(STATES)?);
    let size = boxes.size();
    let (count, room) = match size[..] {
        [count, room, 4] => (count, room),
        _ => return Err(format!("'{BOXES}' has shape {size:?}, expected (N, M, 4)").into()),
    };
    for (name, tensor) in [(LABELS, &labels), (STATES, &states)] {
        if tensor.size() != [count, room] {
            let found = tensor.size();
            return Err(
                format!("'{name}' has shape {found:?}, expected {:?}", [count, room]).into(),
            );
        }
    }
    let of = |picture: i64| -> Result<Truth> {
        let [boxes, labels, states] = [&boxes, &labels, &states].map(|all| all.f_get(picture));
        let (boxes, labels, states) = (boxes?, labels?, states?);
        let picked = |from: &Tensor, state: i64| -> Result<Tensor> {
            let chosen = states.f_eq(state)?.f_nonzero()?.f_view(-1i64)?;
            Ok(from.f_index_select(0, &chosen)?)
        };
        Ok(Truth {
            boxes: picked(&boxes, TRAINED)?,
            labels: picked(&labels, TRAINED)?,
            ignored: picked(&boxes, CROWD)?,
        })
    };
    (0..count).map(of).collect()
}

/// A picture as the scorer takes it.
pub(crate) struct Scored {
    pub(crate) picture: u64,
    pub(crate) objects: Vec<CocoObject>,
    /// Rows and columns of the batch's picture over the original's.
    pub(crate) scale: [f64; 2],
}

/// The pictures of a batch as the scorer takes them; None for one that could not be read.
///
/// # Errors
/// Tensors that are missing or of another shape.
pub(crate) fn scored(targets: &Tensors) -> Result<Vec<Option<Scored>>> {
    let labels: Vec<Vec<i64>> = Vec::try_from(&cpu(targets, LABELS, Kind::Int64)?)?;
    let states: Vec<Vec<i64>> = Vec::try_from(&cpu(targets, STATES, Kind::Int64)?)?;
    let pictures: Vec<i64> = Vec::try_from(&cpu(targets, PICTURES, Kind::Int64)?)?;
    let scales: Vec<Vec<f64>> = Vec::try_from(&cpu(targets, SCALES, Kind::Double)?)?;
    let annotated = cpu(targets, ANNOTATED, Kind::Double)?;
    let size = annotated.size();
    let room = labels.first().map_or(0, Vec::len);
    let same = [labels.len(), states.len(), scales.len()].map(|n| n == pictures.len());
    if size != [pictures.len() as i64, room as i64, 6] || same.contains(&false) {
        return Err(
            format!("targets do not fit each other: '{ANNOTATED}' has shape {size:?}").into(),
        );
    }
    let annotated: Vec<f64> = Vec::try_from(&annotated.f_view(-1i64)?)?;
    let of = |picture: usize| -> Result<Option<Scored>> {
        let Ok(number) = u64::try_from(pictures[picture]) else {
            return Ok(None);
        };
        let rows = &annotated[6 * room * picture..6 * room * (picture + 1)];
        let rows = rows
            .chunks_exact(6)
            .zip(&labels[picture])
            .zip(&states[picture]);
        let objects = rows
            .filter(|((_, label), _)| **label > 0)
            .map(|((row, label), state)| CocoObject {
                class: *label as usize,
                corners: [0.0; 4],
                valid: *state == TRAINED,
                crowd: *state == CROWD,
                bbox: [row[0], row[1], row[2], row[3]],
                area: row[4],
                annotation: (row[5] >= 0.0).then_some(row[5] as u64),
            });
        let scale = scales[picture].first_chunk::<2>();
        Ok(Some(Scored {
            picture: number,
            objects: objects.collect(),
            scale: *scale.ok_or("'scales' are not (N, 2)")?,
        }))
    };
    (0..pictures.len()).map(of).collect()
}

/// A tensor by name on the CPU, of that kind.
pub(crate) fn cpu(tensors: &Tensors, name: &str, kind: Kind) -> Result<Tensor> {
    let tensor = tensors.get(name)?.f_to_device(Device::Cpu)?;
    Ok(tensor.f_to_kind(kind)?.f_contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: usize, bbox: [f64; 4]) -> CocoObject {
        CocoObject::new(class, bbox, bbox[2] * bbox[3], 100, 100)
    }

    #[test]
    fn objects_come_back_as_they_were() {
        let crowd = CocoObject {
            crowd: true,
            annotation: Some(0),
            ..object(2, [50.0, 5.0, 20.0, 30.0])
        };
        let tiny = object(1, [3.0, 3.0, 0.5, 9.0]);
        let first = vec![object(3, [1.0, 2.0, 30.0, 40.0]), crowd, tiny];
        let mut collector = Collector::default();
        collector.push(7, &first, [2.0, 2.0], |object| {
            object.corners.map(|x| 2.0 * x)
        });
        collector.push_nothing();
        collector.push(9, &[], [1.0, 1.0], |object| object.corners);
        let tensors = collector.into_tensors().unwrap();
        let truths = truths(&tensors, Device::Cpu).unwrap();
        let counts: Vec<_> = truths
            .iter()
            .map(|t| (t.boxes.size()[0], t.ignored.size()[0]))
            .collect();
        assert_eq!(counts, [(1, 1), (0, 1), (0, 0)]);
        assert_eq!(
            truths[0].boxes,
            Tensor::from_slice(&[2f32, 4.0, 62.0, 84.0]).view([1, 4])
        );
        let scored = scored(&tensors).unwrap();
        assert!(scored[1].is_none());
        let back = scored[0].as_ref().unwrap();
        assert_eq!((back.picture, back.scale), (7, [2.0, 2.0]));
        for (back, first) in back.objects.iter().zip(&first) {
            assert_eq!((back.class, back.crowd), (first.class, first.crowd));
            assert_eq!(back.valid, first.valid && !first.crowd);
            assert_eq!((back.bbox, back.annotation), (first.bbox, first.annotation));
        }
        assert_eq!(back.objects.len(), 3);
        assert!(scored[2].as_ref().unwrap().objects.is_empty());
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused() {
        let mut tensors = Collector::default();
        tensors.push_nothing();
        let tensors = tensors.into_tensors().unwrap();
        let wrong = tensors
            .shallow_clone()
            .with(BOXES, Tensor::zeros([1, 4], (Kind::Float, Device::Cpu)));
        assert!(truths(&wrong, Device::Cpu).is_err());
        let wrong = tensors.with(PICTURES, Tensor::from_slice(&[1i64, 2]));
        assert!(scored(&wrong).is_err());
    }
}
