//! The object whose annotation has the id 0.
//!
//! pycocotools (2.0.11, `cocoeval.py`) notes for each detection the id of the annotation it matched, and takes
//! 0 for "none". The annotation with the id 0 is taken by its best detection like any other, and no other
//! detection gets it, but that detection counts as wrong. `hotcoco` has no such case, and gives no access to
//! single matches of a stream. So the picture is replaced by one that has the effect: the object and the
//! detection that took it are put where they touch nothing. The object still is one that was not found, the
//! detection one that found nothing, and no other detection had chosen the object anyway. Which detection took
//! it depends on the IoU threshold and the range of areas, so curves are taken from as many such replacements
//! as there are different answers, one or two as a rule.

use std::collections::BTreeMap;

use hotcoco::types::{Dataset, Image};
use hotcoco::{COCO, COCOeval, EvalImg, IouType, StreamingEval};

use super::scores::{Counted, Curves, category, unexpected};
use crate::VisionError;

/// Farther than any picture reaches, pixels.
const FAR: f64 = 1e15;

/// The picture with the object.
#[derive(Clone)]
pub(super) struct Zero {
    picture: Counted,
    /// Its index among the picture's objects.
    object: usize,
}

/// A threshold's and an area range's index.
type Cell = (usize, usize);

impl Zero {
    pub(super) fn new(picture: Counted, object: usize) -> Zero {
        Zero { picture, object }
    }

    /// Puts the curves of the object's class in place; `stream` has counted every picture.
    pub(super) fn correct(
        &self,
        curves: &mut Curves,
        stream: &StreamingEval,
    ) -> Result<(), VisionError> {
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
