//! The network: one 3×3 convolution.

use crate::data::one_hot;
use crate::fault;
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// One 3×3 convolution from image to classes.
#[derive(Debug)]
pub(crate) struct Pebble {
    weight: Tensor,
    bias: Tensor,
    batches: Tensor,
}

impl ProxyNetwork for Pebble {
    fn info() -> NetworkInfo {
        fault::panic_in("ProxyNetwork::info");
        let info = NetworkInfo::new("pebble", "One 3x3 convolution", [crate::TASK]);
        match fault::is("frozen") {
            true => info.frozen_features(),
            false => info,
        }
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        fault::strike("ProxyNetwork::build")?;
        let classes = options.task.whole("num_classes")?;
        let device = options.device()?;
        let weight = Tensor::f_randn([classes, classes, 3, 3], (Kind::Float, device))?;
        let bias = Tensor::f_zeros([classes], (Kind::Float, device))?;
        Ok(Self {
            weight: weight.f_mul_scalar(0.1)?.f_set_requires_grad(true)?,
            bias: bias.f_set_requires_grad(true)?,
            batches: Tensor::f_zeros([1], (Kind::Int64, device))?,
        })
    }

    fn frozen_features(&mut self, inputs: &Tensors) -> Result<Tensors> {
        fault::strike("ProxyNetwork::frozen_features")?;
        let mut image = inputs.get("image")?.f_mul_scalar(2.0)?;
        if fault::is("features:one_more") {
            image = Tensor::f_cat(&[&image, &image.f_narrow(0, 0, 1)?], 0)?;
        }
        if fault::is("features:nan") {
            image = image.f_mul_scalar(f64::NAN)?;
        }
        if fault::is("features:large") {
            image = image.f_add_scalar(1e5)?;
        }
        if fault::is("features:whole") {
            image = image.f_to_kind(Kind::Int64)?;
        }
        Ok(match fault::is("features:none") {
            true => Tensors::new(),
            false => Tensors::new().with("image", image),
        })
    }

    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        fault::strike("ProxyNetwork::forward")?;
        if mode == Mode::Train {
            let _ = self.batches.f_add_scalar_(1)?;
        }
        let mut yhat = self.logits(&batch.inputs)?;
        if !fault::is("forward:no_softmax") {
            yhat = yhat.f_softmax(1, None)?;
        }
        if fault::is("forward:sigmoid") {
            yhat = yhat.f_sigmoid()?;
        }
        let mut y = one_hot(batch.targets.get("labels")?)?;
        if fault::is("forward:half_y") {
            y = y.f_mul_scalar(0.5)?;
        }
        let inputs = spoil(yhat, y)?;
        if fault::is("forward:gradients_off") {
            // Gradients stay off on this thread when the call is over.
            std::mem::forget(tch::no_grad_guard());
        }
        let branch = if fault::is("forward:other_branch") {
            "elsewhere"
        } else {
            crate::BRANCH
        };
        Ok(BTreeMap::from([(branch.to_owned(), inputs)]))
    }

    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors> {
        fault::strike("ProxyNetwork::predict")?;
        let labels = self.logits(inputs)?.f_argmax(1, false)?;
        let name = if fault::is("predict:other_name") {
            "guesses"
        } else {
            "labels"
        };
        let undefined = fault::is("predict:undefined");
        Ok(Tensors::new().with(name, if undefined { Tensor::new() } else { labels }))
    }

    fn parameters(&self) -> Vec<Parameter> {
        fault::panic_in("ProxyNetwork::parameters");
        if fault::is("parameters:none") {
            return Vec::new();
        }
        let twin = if fault::is("parameters:twins") {
            "weight"
        } else {
            "bias"
        };
        let mut bias = self.bias.shallow_clone();
        if fault::is("parameters:detached") {
            bias = bias.detach();
        }
        if fault::is("parameters:undefined") {
            bias = Tensor::new();
        }
        if fault::is("parameters:copies") {
            let copy = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
            let parameter = |name: &str, tensor: &Tensor| Parameter {
                name: name.to_owned(),
                tensor: copy(tensor),
                decay: false,
            };
            return vec![
                parameter("weight", &self.weight),
                parameter("bias", &self.bias),
            ];
        }
        vec![
            Parameter {
                name: "weight".to_owned(),
                tensor: self.weight.shallow_clone(),
                decay: true,
            },
            Parameter {
                name: twin.to_owned(),
                tensor: bias,
                decay: false,
            },
        ]
    }

    fn buffers(&self) -> Tensors {
        fault::panic_in("ProxyNetwork::buffers");
        Tensors::new().with("batches", self.batches.shallow_clone())
    }
}

impl Pebble {
    fn logits(&self, inputs: &Tensors) -> Result<Tensor> {
        let image = inputs.get("image")?;
        Ok(image.f_conv2d(&self.weight, Some(&self.bias), 1, 1, 1, 1)?)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        fault::panic_in("ProxyNetwork::drop");
    }
}

/// Breaks the rules of a branch's inputs.
fn spoil(mut yhat: Tensor, mut y: Tensor) -> Result<Tensors> {
    if fault::is("forward:narrow_y") {
        y = y.f_narrow(3, 0, 4)?;
    }
    if fault::is("forward:flat") {
        (yhat, y) = (yhat.f_view([-1])?, y.f_view([-1])?);
    }
    if fault::is("forward:empty") {
        (yhat, y) = (yhat.f_narrow(0, 0, 0)?, y.f_narrow(0, 0, 0)?);
    }
    if fault::is("forward:nan") {
        yhat = yhat.f_mul_scalar(f64::NAN)?;
    }
    if fault::is("forward:detached") {
        yhat = yhat.f_detach()?;
    }
    if fault::is("forward:undefined") {
        yhat = Tensor::new();
    }
    let inputs = Tensors::new().with("yhat", yhat);
    Ok(if fault::is("forward:no_y") {
        inputs
    } else {
        inputs.with("y", y)
    })
}
