//! The parts of a Python file that are always the same. Words in capitals are filled in, with nothing that comes from
//! a loss file but a number.

use autoloss_graph::{Op, UnaryOp};

/// Any number of axes as four.
pub(super) const AXES: &str = r#"
def _four_axes(x: Tensor) -> Tensor:
    """(N, C), (N, C, L) or (N, C, H, W) as (N, C, H, W)."""
    if x.dim() == 2:
        return x[:, :, None, None]
    if x.dim() == 3:
        return x[:, :, :, None]
    if x.dim() != 4:
        raise ValueError(f"expected 2 to 4 axes (N, C, ...), got {x.dim()}")
    return x
"#;

/// What is computed in half precision elsewhere.
pub(super) const SINGLE: &str = r#"
def _single(x: Tensor) -> Tensor:
    """Half precision as single precision; other types as they are."""
    if x.dtype == torch.float16 or x.dtype == torch.bfloat16:
        return x.float()
    return x
"#;

/// Whether a target is checked.
pub(super) const CHECKED: &str = r#"
def _checked(target: Tensor, check_target: Optional[bool]) -> bool:
    """Whether a wrong target is an error: by default on the CPU, never in a graph."""
    if not torch.jit.is_scripting():
        # PyTorch 2.0 has no torch.compiler.
        compiler = getattr(torch, "compiler", None)
        is_compiling = getattr(compiler, "is_compiling", None)
        if torch.jit.is_tracing() or (is_compiling is not None and is_compiling()):
            return False
    if check_target is not None:
        return check_target
    return target.device.type == "cpu"
"#;

/// Classes as one-hot coding.
pub(super) const TARGET: &str = r#"
def _coded(
    target: Tensor,
    axes: int,
    scores: Tensor,
    unit: bool,
    ignore_index: int,
    check_target: Optional[bool],
) -> Tuple[Tensor, Tensor]:
    """The target of logits with so many axes as (N, C, H, W), and where it counts.

    The latter is 1, or 0 at void, or NaN out of range. `unit`: values are from 0 to 1.
    """
    channels = scores.size(1)
    # One channel stands for class 1 of two.
    classes = max(channels, 2)
    dense = target.dim() == axes
    if unit and channels == 1 and not target.is_floating_point():
        dense = False
    if dense:
        wanted = _four_axes(target).to(scores.dtype)
        void = torch.zeros_like(wanted[:, :1], dtype=torch.bool)
        outside = void
        if unit:
            # Interpolated maps may be off by a rounding.
            outside = ((wanted < -0.001) | (wanted > 1.001)).any(dim=1, keepdim=True)
    else:
        if target.is_floating_point():
            raise ValueError("classes are whole numbers; others have the logits' shape")
        labels = target if target.dim() == axes else target.unsqueeze(1)
        labels = _four_axes(labels).long()
        own = torch.arange(classes - channels, classes, device=labels.device)
        wanted = (labels == own.view(1, -1, 1, 1)).to(scores.dtype)
        void = labels == ignore_index
        outside = ((labels < 0) | (labels >= classes)) & ~void
    if wanted.shape != scores.shape:
        raise ValueError("the target does not fit the shape of the logits")
    if _checked(target, check_target) and bool(outside.any()):
        if dense:
            least, greatest = float(wanted.min()), float(wanted.max())
            raise ValueError(
                f"values out of range, from {least} to {greatest}: a target of the "
                "logits' shape has values from 0 to 1, and ignore_index is for labels"
            )
        wrong = target.reshape(-1).long()[outside.reshape(-1)]
        low, high = int(wrong.min()), int(wrong.max())
        raise IndexError(
            f"labels out of range, from {low} to {high}: there are {classes} classes, "
            f"0 to {classes - 1}, and ignore_index is {ignore_index}"
        )
    valid = (~void).to(scores.dtype).masked_fill(outside, float("nan"))
    return wanted * valid, valid
"#;

/// One channel of a softmax as two.
pub(super) const TWO_CLASSES: &str = r#"
def _two_classes(
    scores: Tensor, wanted: Tensor, valid: Tensor
) -> Tuple[Tensor, Tensor]:
    """The logit of class 1 as logits of two classes, and its target as theirs."""
    both = torch.cat([torch.zeros_like(scores), scores], dim=1)
    return both, torch.cat([valid - wanted, wanted], dim=1)
"#;

/// Boxes as areas.
pub(super) const AREAS: &str = r#"
def _extent(boxes: Tensor, axis: int) -> Tuple[Tensor, Tensor, Tensor]:
    """The side, the lower and the upper end of boxes along an axis."""
    centre = boxes[:, axis : axis + 1]
    side = boxes[:, axis + 2 : axis + 3].exp()
    half = side * 0.5
    return side, centre - half, centre + half


def _areas(boxes: Tensor, targets: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The areas of the intersection, the union and the smallest enclosing box."""
    w, x1, x2 = _extent(boxes, 0)
    h, y1, y2 = _extent(boxes, 1)
    tw, tx1, tx2 = _extent(targets, 0)
    th, ty1, ty2 = _extent(targets, 1)
    common_w = (torch.minimum(x2, tx2) - torch.maximum(x1, tx1)).relu()
    common_h = (torch.minimum(y2, ty2) - torch.maximum(y1, ty1)).relu()
    hull_w = torch.maximum(x2, tx2) - torch.minimum(x1, tx1)
    hull_h = torch.maximum(y2, ty2) - torch.minimum(y1, ty1)
    common = common_w * common_h
    return common, w * h + tw * th - common, hull_w * hull_h
"#;

/// From values to a loss.
pub(super) const REDUCED: &str = r#"
def _reduced(values: Tensor, like: Tensor, reduction: str) -> Tensor:
    """Values (N, C, H, W) summed over C, then reduced over the positions of `like`."""
    positions = values.sum(dim=1)
    if reduction == "none":
        return positions.reshape(like.shape[:1] + like.shape[2:])
    if reduction == "sum" or positions.numel() == 0:
        return positions.sum()
    return positions.mean()
"#;

/// The settings of a branch of boxes.
pub(super) const REDUCTION_FIELD: &str = r#"
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is mean, sum or none, not {reduction!r}")
        self.reduction = reduction
"#;

/// The settings of a branch of classes.
pub(super) const LABEL_FIELDS: &str = r#"
    def __init__(
        self,
        ignore_index: int = LABEL,
        reduction: str = "mean",
        check_target: Optional[bool] = None,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is mean, sum or none, not {reduction!r}")
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.check_target = check_target
"#;

/// The use of a branch of boxes.
pub(super) const BOX_FORWARD: &str = r#"
    def forward(self, deltas: Tensor, target_deltas: Tensor) -> Tensor:
        if deltas.shape != target_deltas.shape or deltas.size(1) != 4:
            raise ValueError("boxes and their targets have one shape (N, 4, ...)")
        boxes = _four_axes(_single(deltas))
        targets = _four_axes(target_deltas.to(boxes.dtype))
        common, union, hull = _areas(boxes, targets)
        return _reduced(self.formula(common, union, hull), deltas, self.reduction)
"#;

/// The use of a branch of classes.
pub(super) const DENSE_FORWARD: &str = r#"
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        scores = _four_axes(_single(logits))
        wanted, valid = _coded(
            target,
            logits.dim(),
            scores,
            UNIT,
            self.ignore_index,
            self.check_target,
        )
TWO_CLASSES        prediction = ACTIVATED * valid
        return _reduced(self.formula(ARGUMENTS), logits, self.reduction)
"#;

/// What a softmax does with one channel.
pub(super) const ONE_CHANNEL: &str = r#"        if scores.size(1) == 1:
            scores, wanted = _two_classes(scores, wanted, valid)
"#;

/// The ε of operators, written apart.
pub(super) const EPSILON: &str = r#"
def _epsilon(x: Tensor) -> Tensor:
    """ε as a tensor: exporters to ONNX take a number so small for 0, and drop it."""
    return x.new_full([1], 1e-12)
"#;

/// The function of an operator that PyTorch has no single one for.
pub(super) const fn operator(op: Op) -> Option<&'static str> {
    let Op::Unary(op) = op else { return None };
    Some(match op {
        UnaryOp::Inv => INV,
        UnaryOp::Log => LOG,
        UnaryOp::Sqrt => SQRT,
        UnaryOp::MeanNhw => MEAN_NHW,
        UnaryOp::MeanC => MEAN_C,
        UnaryOp::MaxPool3x3 => MAX_POOL,
        UnaryOp::MinPool3x3 => MIN_POOL,
        _ => return None,
    })
}

const INV: &str = r#"
def _inv(x: Tensor) -> Tensor:
    """1 / (x + ε)."""
    return (x + _epsilon(x)).reciprocal()
"#;

const LOG: &str = r#"
def _log(x: Tensor) -> Tensor:
    """sign(x) · log(|x| + ε)."""
    return x.sign() * (x.abs() + _epsilon(x)).log()
"#;

const SQRT: &str = r#"
def _sqrt(x: Tensor) -> Tensor:
    """sign(x) · √(|x| + ε)."""
    return x.sign() * (x.abs() + _epsilon(x)).sqrt()
"#;

const MEAN_NHW: &str = r#"
def _mean_nhw(x: Tensor) -> Tensor:
    """The mean of each channel, everywhere."""
    return x.mean(dim=[0, 2, 3], keepdim=True).expand_as(x)
"#;

const MEAN_C: &str = r#"
def _mean_c(x: Tensor) -> Tensor:
    """The mean over the channels at each position."""
    return x.mean(dim=1, keepdim=True).expand_as(x)
"#;

const MAX_POOL: &str = r#"
def _max_pool3x3(x: Tensor) -> Tensor:
    """The greatest value of each neighbourhood of 3×3."""
    return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
"#;

const MIN_POOL: &str = r#"
def _min_pool3x3(x: Tensor) -> Tensor:
    """The least value of each neighbourhood of 3×3."""
    return -F.max_pool2d(-x, kernel_size=3, stride=1, padding=1)
"#;
