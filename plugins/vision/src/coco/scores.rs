//! COCO's scores for boxes: average precision and average recall.
//!
//! The computation is `hotcoco`'s, a pure Rust port of pycocotools' COCOeval. Its streaming form matches each
//! picture when it is added and keeps about 20 bytes a detection, so neither pictures nor boxes pile up. Only
//! the means over the resulting curves are taken here, since what prints them there writes to standard
//! output, which belongs to the host.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use hotcoco::types::{Annotation, Category, Dataset, Image};
use hotcoco::{
    AccumulatedEval, COCO, COCOeval, EvalImg, EvalMode, IouType, MetricDef, Params, StreamingEval,
};

use super::object::CocoObject;
use crate::VisionError;

/// Farther than any picture reaches, pixels.
const FAR: f64 = 1e15;

/// A box that a detector found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// From 1; 0 is the background.
    pub class: usize,
    /// Left, top, right, bottom, pixels of the picture as annotated.
    pub corners: [f32; 4],
    /// Any finite number; higher is surer.
    pub score: f32,
}

impl Detection {
    fn is_finite(&self) -> bool {
        self.score.is_finite() && self.corners.iter().all(|corner| corner.is_finite())
    }
}

/// Counts pictures one by one; scores at the end.
///
/// # Definitions
/// For every class, an IoU threshold t of 0.50, 0.55, … 0.95 and a range of areas, detections of all pictures
/// are sorted by score, at most 100 of each picture. A detection is right where it overlaps an object of its
/// class, that no better detection took, by IoU ≥ t.
///
/// | score | definition |
/// |---|---|
/// | mAP | mean over classes and t of the precision at recall 0, 0.01, … 1 (interpolated from the right) |
/// | AP50, AP75 | the same at t = 0.50 and t = 0.75 alone |
/// | APs, APm, APl | as mAP among small (area up to 32² pixels), medium and large (from 96²) objects |
/// | AR1, AR10, AR100 | mean over classes and t of the recall with at most 1, 10, 100 detections a picture |
/// | ARs, ARm, ARl | as AR100 among small, medium and large objects |
///
/// The area of an object is that of its annotation (its mask's), of a detection that of its box. Objects and
/// unmatched detections of another size than asked for, crowds, and detections matched to these count neither
/// for nor against; a crowd may match any number of detections, by the share of the *detection* inside it.
///
/// # Cases at the edge of the definitions
/// - A class without objects (of the size) is in no mean. A score whose mean is over nothing is undefined:
///   pycocotools reports −1, here it is **absent**: [`DetectionScores::get`] gives None and
///   [`DetectionScores::named`] skips it. Without any object every score is absent.
/// - Objects but no detection: 0.
/// - A detection whose score or corners are not finite is dropped.
/// - Of equal scores, the picture with the lower id comes first, then the order in which they were given.
/// - An annotation with the id 0 takes its detection, which still counts as wrong: pycocotools stores the id
///   of what a detection matched and reads 0 as nothing. Scores are to be those of pycocotools on the same
///   file, so it is so here, for objects read from a file ([`CocoObject::annotation`]).
///
/// # Example
/// ```
/// use autoloss_vision::coco::{CocoObject, Detection, DetectionScorer};
///
/// let mut scorer = DetectionScorer::new(3)?;
/// let objects = [CocoObject::new(1, [10.0, 10.0, 20.0, 20.0], 400.0, 64, 64)];
/// let hit = Detection { class: 1, corners: [10.0, 10.0, 30.0, 28.5], score: 0.9 };
/// scorer.add_image(1, &objects, &[hit])?;
/// let scores = scorer.compute()?;
/// assert!((scores.get("AP50").unwrap() - 1.0).abs() < 1e-12);
/// // IoU 0.925 is enough for nine of the ten thresholds.
/// assert!((scores.get("mAP").unwrap() - 0.9).abs() < 1e-12);
/// // No object is large.
/// assert_eq!(scores.get("APl"), None);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Clone)]
pub struct DetectionScorer {
    num_classes: usize,
    stream: StreamingEval,
    seen: HashSet<u64>,
    zero: Option<Box<Zero>>,
}

impl DetectionScorer {
    /// A scorer that has seen nothing. `num_classes` includes the background.
    ///
    /// # Errors
    /// [`VisionError::Config`] for fewer than 2 or more than 65,535 classes.
    pub fn new(num_classes: usize) -> Result<DetectionScorer, VisionError> {
        let good = (2..=usize::from(u16::MAX)).contains(&num_classes);
        VisionError::check("num_classes", num_classes.to_string(), good, "2 to 65535")?;
        let categories = (1..num_classes as u64).map(category).collect();
        let params = Params::new(IouType::Bbox);
        Ok(DetectionScorer {
            num_classes,
            stream: StreamingEval::new(params, EvalMode::Coco, categories).map_err(unexpected)?,
            seen: HashSet::new(),
            zero: None,
        })
    }

    /// The number of classes, background included.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The number of pictures counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no picture was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Counts a picture with all of its objects and detections, which may be none. Its id orders pictures
    /// where scores are equal; otherwise the order of the calls does not matter.
    ///
    /// # Errors
    /// [`VisionError::Config`] for a picture that was counted before, an unknown class or the
    /// background, or a second object with the annotation id 0. Nothing is counted then.
    pub fn add_image(
        &mut self,
        image: u64,
        objects: &[CocoObject],
        detections: &[Detection],
    ) -> Result<(), VisionError> {
        let classes = objects.iter().map(|object| object.class);
        self.check(
            image,
            classes.chain(detections.iter().map(|detection| detection.class)),
        )?;
        let mut zeros = (0..objects.len()).filter(|&index| objects[index].annotation == Some(0));
        let zero = zeros.next();
        let once = zeros.next().is_none() && !(zero.is_some() && self.zero.is_some());
        VisionError::check("annotation", "0 twice".to_owned(), once, "ids that differ")?;
        let counted = Counted::new(image, objects, detections);
        counted.add_to(&mut self.stream)?;
        self.seen.insert(image);
        if let Some(index) = zero {
            self.zero = Some(Box::new(Zero::new(counted, index)));
        }
        Ok(())
    }

    fn check(
        &self,
        image: u64,
        mut classes: impl Iterator<Item = usize>,
    ) -> Result<(), VisionError> {
        let new = !self.seen.contains(&image);
        VisionError::check(
            "image",
            image.to_string(),
            new,
            "one that was not counted before",
        )?;
        match classes.find(|class| !(1..self.num_classes).contains(class)) {
            None => Ok(()),
            Some(class) => Err(VisionError::Config {
                field: "class",
                found: class.to_string(),
                expected: "1 up to the last class; 0 is the background",
            }),
        }
    }

    /// The scores of all pictures counted so far; more may follow.
    ///
    /// # Errors
    /// [`VisionError::Config`] where the computation refuses what it was given; no input is known to lead
    /// there.
    pub fn compute(&self) -> Result<DetectionScores, VisionError> {
        let mut curves = Curves::of(self.stream.clone())?;
        if let Some(zero) = &self.zero {
            zero.correct(&mut curves, &self.stream)?;
        }
        Ok(curves.scores())
    }
}

impl fmt::Debug for DetectionScorer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DetectionScorer")
            .field("num_classes", &self.num_classes)
            .field("images", &self.seen.len())
            .finish_non_exhaustive()
    }
}

/// The twelve scores, between 0 and 1, higher is better; those that are undefined are absent.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionScores {
    values: [Option<f64>; 12],
}

impl DetectionScores {
    /// The names, in pycocotools' order.
    pub const NAMES: [&'static str; 12] = [
        "mAP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
    ];

    /// The score of that name; None where it is undefined and for a name that is not in
    /// [`DetectionScores::NAMES`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        self.values[index]
    }

    /// The scores that are defined, with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let all = Self::NAMES.into_iter().zip(self.values);
        all.filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A picture as it is given to `hotcoco`.
#[derive(Clone)]
struct Counted {
    image: u64,
    objects: Vec<Annotation>,
    detections: Vec<Annotation>,
}

impl Counted {
    fn new(image: u64, objects: &[CocoObject], detections: &[Detection]) -> Counted {
        let object = |object: &CocoObject| {
            let finite = object.area.is_finite() && object.bbox.iter().all(|side| side.is_finite());
            Annotation {
                image_id: image,
                category_id: object.class as u64,
                // An object without a place cannot be found.
                bbox: Some(if finite { object.bbox } else { [0.0; 4] }),
                area: Some(if finite { object.area } else { 0.0 }),
                iscrowd: object.crowd,
                ..Annotation::default()
            }
        };
        let detection = |detection: &Detection| {
            let [left, top, right, bottom] = detection.corners.map(f64::from);
            Annotation {
                image_id: image,
                category_id: detection.class as u64,
                bbox: Some([left, top, right - left, bottom - top]),
                score: Some(f64::from(detection.score)),
                ..Annotation::default()
            }
        };
        let finite = detections.iter().filter(|detection| detection.is_finite());
        Counted {
            image,
            objects: objects.iter().map(object).collect(),
            detections: finite.map(detection).collect(),
        }
    }

    /// Counts the picture, in place of what the stream had for it before.
    fn add_to(&self, stream: &mut StreamingEval) -> Result<(), VisionError> {
        let image = Image {
            id: self.image,
            ..Image::default()
        };
        let (objects, detections) = (self.objects.clone(), self.detections.clone());
        stream
            .update(vec![image], objects, detections)
            .map_err(unexpected)
    }
}

/// Precision and recall of every class, threshold, range of areas and number of detections.
struct Curves {
    values: AccumulatedEval,
    params: Params,
    definitions: Vec<MetricDef>,
}

impl Curves {
    fn of(stream: StreamingEval) -> Result<Curves, VisionError> {
        let mut evaluation: COCOeval = stream.finalize();
        evaluation.accumulate();
        let values = evaluation.accumulated().cloned();
        Ok(Curves {
            values: values.ok_or_else(|| unexpected("nothing was accumulated"))?,
            params: evaluation.params.clone(),
            definitions: evaluation.metric_defs(),
        })
    }

    fn scores(&self) -> DetectionScores {
        let score = |index: usize| self.score(self.definitions.get(index)?);
        DetectionScores {
            values: std::array::from_fn(score),
        }
    }

    /// The mean over all that is defined; −1 marks the rest.
    fn score(&self, definition: &MetricDef) -> Option<f64> {
        let area = self.params.area_range_idx(definition.area_lbl)?;
        let most = self
            .params
            .max_dets
            .iter()
            .position(|&most| most == definition.max_det)?;
        let shape = self.values.shape;
        let thresholds = match definition.iou_thr {
            None => 0..shape.t,
            Some(threshold) => {
                let index = self.params.iou_thr_idx(threshold)?;
                index..index + 1
            }
        };
        let (mut sum, mut count) = (0.0, 0usize);
        let mut add = |value: f64| {
            if value > -1.0 {
                sum += value;
                count += 1;
            }
        };
        for t in thresholds {
            for k in 0..shape.k {
                if definition.ap {
                    let at = |r: usize| shape.precision_idx(t, r, k, area, most);
                    (0..shape.r).for_each(|r| add(self.values.precision[at(r)]));
                } else {
                    add(self.values.recall[shape.recall_idx(t, k, area, most)]);
                }
            }
        }
        (count > 0).then(|| sum / count as f64)
    }
}

/// The picture with the object whose annotation has the id 0.
///
/// pycocotools (2.0.11, `cocoeval.py`) notes for each detection the id of the annotation it matched, and takes
/// 0 for "none". The annotation with the id 0 is taken by its best detection like any other, and no other
/// detection gets it, but that detection counts as wrong. `hotcoco` has no such case, and gives no access to
/// single matches of a stream. So the picture is replaced by one that has the effect: the object and the
/// detection that took it are put where they touch nothing. The object still is one that was not found, the
/// detection one that found nothing, and no other detection had chosen the object anyway. Which detection took
/// it depends on the IoU threshold and the range of areas, so curves are taken from as many such replacements
/// as there are different answers, one or two as a rule.
#[derive(Clone)]
struct Zero {
    picture: Counted,
    /// Its index among the picture's objects.
    object: usize,
}

/// A threshold's and an area range's index.
type Cell = (usize, usize);

impl Zero {
    fn new(picture: Counted, object: usize) -> Zero {
        Zero { picture, object }
    }

    /// Puts the curves of the object's class in place; `stream` has counted every picture.
    fn correct(&self, curves: &mut Curves, stream: &StreamingEval) -> Result<(), VisionError> {
        let class = self.picture.objects[self.object].category_id;
        let Some(k) = curves.values.cat_ids.iter().position(|&id| id == class) else {
            return Ok(());
        };
        for (detection, cells) in self.takers(class)? {
            let mut replaced = stream.clone();
            self.replacement(detection).add_to(&mut replaced)?;
            let source = Curves::of(replaced)?.values;
            let (shape, target) = (source.shape, &mut curves.values);
            for (t, area) in cells {
                for most in 0..shape.m {
                    let recall = shape.recall_idx(t, k, area, most);
                    target.recall[recall] = source.recall[recall];
                    for r in 0..shape.r {
                        let precision = shape.precision_idx(t, r, k, area, most);
                        target.precision[precision] = source.precision[precision];
                    }
                }
            }
        }
        Ok(())
    }

    /// The detections that take the object while it counts, each with where it does.
    fn takers(&self, class: u64) -> Result<BTreeMap<usize, Vec<Cell>>, VisionError> {
        let mut evaluation = self.evaluation()?;
        evaluation.evaluate().map_err(unexpected)?;
        let ranges = evaluation.params.area_ranges.clone();
        let mut takers: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
        let of_picture = evaluation.eval_imgs().iter().flatten();
        for matches in of_picture.filter(|matches| matches.category_id == class) {
            let range = |area: &usize| ranges[*area].range == matches.area_rng;
            if let Some(area) = (0..ranges.len()).find(range) {
                for (t, detection) in self.taken(matches) {
                    takers.entry(detection).or_default().push((t, area));
                }
            }
        }
        Ok(takers)
    }

    /// The picture alone, in the form that tells what matched what. Objects and detections are numbered from 1
    /// in their order.
    fn evaluation(&self) -> Result<COCOeval, VisionError> {
        let Counted {
            image,
            mut objects,
            detections,
        } = self.picture.clone();
        for (id, object) in (1..).zip(&mut objects) {
            object.id = id;
        }
        let all = objects.iter().chain(&detections);
        let last = all.map(|annotation| annotation.category_id).max();
        let truth = COCO::from_dataset(Dataset {
            images: vec![Image {
                id: image,
                ..Image::default()
            }],
            annotations: objects,
            categories: (1..=last.unwrap_or(0)).map(category).collect(),
            ..Dataset::default()
        });
        let found = truth.load_res_anns(detections).map_err(unexpected)?;
        Ok(COCOeval::new(truth, found, IouType::Bbox))
    }

    /// The thresholds at which the object is taken and by which detection, unless it is ignored: a detection
    /// of what is ignored counts neither as right nor as wrong, whatever the id.
    fn taken(&self, matches: &EvalImg) -> Vec<(usize, usize)> {
        let id = self.object as u64 + 1;
        let Some(place) = matches.gt_ids.iter().position(|&other| other == id) else {
            return Vec::new();
        };
        if matches.gt_ignore[place] {
            return Vec::new();
        }
        let thresholds = 0..matches.gt_matched.num_rows();
        thresholds
            .filter(|&t| matches.gt_matched[(t, place)])
            .filter_map(|t| {
                let number = usize::try_from(matches.gt_matches[(t, place)]).ok()?;
                Some((t, number.checked_sub(1)?))
            })
            .collect()
    }

    fn replacement(&self, detection: usize) -> Counted {
        let mut picture = self.picture.clone();
        for (annotation, left) in [
            (&mut picture.objects[self.object], FAR),
            (&mut picture.detections[detection], -FAR),
        ] {
            if let Some(bbox) = &mut annotation.bbox {
                bbox[0] = left;
            }
        }
        picture
    }
}

fn category(class: u64) -> Category {
    Category {
        id: class,
        name: class.to_string(),
        ..Category::default()
    }
}

fn unexpected(problem: impl fmt::Display) -> VisionError {
    VisionError::Config {
        field: "detections",
        found: problem.to_string(),
        expected: "what can be scored",
    }
}
