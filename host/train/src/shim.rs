//! The C++ shim over what tch does not bind, as safe functions.
//!
//! The optimiser steps here go over all parameters in one call: on two cores they cost a third of
//! the same arithmetic in single operators, which pass over the memory several times.

#![allow(unsafe_code, reason = "calls into the shim's C functions")]

use crate::Result;
use autoloss_plugin_api::tch::TchError;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use tch::{Device, Tensor};

type Handle = *const u8;

unsafe extern "C" {
    fn autoloss_free(message: *mut c_char);
    fn autoloss_drop_gradients(parameters: *const Handle, count: usize) -> *mut c_char;
    fn autoloss_gradient_norm(
        parameters: *const Handle,
        count: usize,
        norm: *mut f64,
    ) -> *mut c_char;
    fn autoloss_sgd(
        parameters: *const Handle,
        momenta: *const Handle,
        count: usize,
        rate: f64,
        momentum: f64,
        decay: f64,
        scale: f64,
    ) -> *mut c_char;
    fn autoloss_adamw(
        parameters: *const Handle,
        first: *const Handle,
        second: *const Handle,
        count: usize,
        rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        decay: f64,
        scale: f64,
        step: i64,
    ) -> *mut c_char;
    fn autoloss_autocast_begin(cuda: bool, before: *mut i32) -> *mut c_char;
    fn autoloss_autocast_end(cuda: bool, before: i32) -> *mut c_char;
    fn autoloss_keep_to_this_thread() -> *mut c_char;
}

/// Pointers to tensors that live as long as the borrow.
struct Handles<'a> {
    pointers: Vec<Handle>,
    tensors: PhantomData<&'a Tensor>,
}

impl<'a> Handles<'a> {
    fn of(tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        let pointers = tensors
            .into_iter()
            .map(|tensor| tensor.as_ptr().cast())
            .collect();
        Self {
            pointers,
            tensors: PhantomData,
        }
    }
}

fn outcome(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns null or a zero-terminated text that is ours to free.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        autoloss_free(message);
        text
    };
    Err(TchError::Torch(text).into())
}

/// Makes the gradients undefined, so that the next backward pass stores instead of adding.
pub(crate) fn drop_gradients<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
    let own = Handles::of(parameters);
    // SAFETY: the handles are live tensors of this process's libtorch for the length of the call.
    outcome(unsafe { autoloss_drop_gradients(own.pointers.as_ptr(), own.pointers.len()) })
}

/// The norm of all gradients together; not finite where one of them is not.
pub(crate) fn gradient_norm<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    let own = Handles::of(parameters);
    let mut norm = 0.0;
    // SAFETY: as above; `norm` outlives the call.
    outcome(unsafe {
        autoloss_gradient_norm(own.pointers.as_ptr(), own.pointers.len(), &raw mut norm)
    })?;
    Ok(norm)
}

/// One step of SGD on (parameter, momentum) pairs that all have gradients, the latter times `scale`.
pub(crate) fn sgd(
    pairs: &[(&Tensor, &Tensor)],
    rate: f64,
    momentum: f64,
    decay: f64,
    scale: f64,
) -> Result<()> {
    let own = Handles::of(pairs.iter().map(|pair| pair.0));
    let momenta = Handles::of(pairs.iter().map(|pair| pair.1));
    // SAFETY: both lists hold `pairs.len()` live tensors; the shim changes their data only.
    outcome(unsafe {
        autoloss_sgd(
            own.pointers.as_ptr(),
            momenta.pointers.as_ptr(),
            pairs.len(),
            rate,
            momentum,
            decay,
            scale,
        )
    })
}

/// What a step of Adam needs beside tensors.
#[derive(Clone, Copy)]
pub(crate) struct AdamStep {
    pub(crate) rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
    pub(crate) decay: f64,
    /// Factor of the gradients.
    pub(crate) scale: f64,
    /// From 1.
    pub(crate) step: i64,
}

/// One step of Adam with decoupled decay on (parameter, first, second average) that all have gradients.
pub(crate) fn adamw(slots: &[(&Tensor, &Tensor, &Tensor)], step: AdamStep) -> Result<()> {
    let own = Handles::of(slots.iter().map(|slot| slot.0));
    let first = Handles::of(slots.iter().map(|slot| slot.1));
    let second = Handles::of(slots.iter().map(|slot| slot.2));
    // SAFETY: all lists hold `slots.len()` live tensors; the shim changes their data only.
    outcome(unsafe {
        autoloss_adamw(
            own.pointers.as_ptr(),
            first.pointers.as_ptr(),
            second.pointers.as_ptr(),
            slots.len(),
            step.rate,
            step.beta1,
            step.beta2,
            step.epsilon,
            step.decay,
            step.scale,
            step.step,
        )
    })
}

/// While it lives, operators of this thread that gain by it compute in bf16.
pub(crate) struct Autocast {
    cuda: bool,
    before: i32,
    /// The setting belongs to the thread.
    thread: PhantomData<*const ()>,
}

impl Autocast {
    pub(crate) fn to_bf16(device: Device) -> Result<Self> {
        let cuda = device.is_cuda();
        let mut before = 0;
        // SAFETY: sets thread-local values of libtorch; `before` outlives the call.
        outcome(unsafe { autoloss_autocast_begin(cuda, &raw mut before) })?;
        Ok(Self {
            cuda,
            before,
            thread: PhantomData,
        })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: restores what `to_bf16` found, on the same thread.
        let ended = outcome(unsafe { autoloss_autocast_end(self.cuda, self.before) });
        if let Err(error) = ended {
            tracing::warn!("autocast could not be switched back: {error}");
        }
    }
}

/// From now on operators of the calling thread run on it alone.
///
/// Every thread that enters a parallel operator gets helpers of its own. With more of them than cores
/// OpenMP no longer spins between operators but sleeps, and a training beside a thread that only copies
/// batches takes up to twice as long.
pub(crate) fn keep_to_this_thread() -> Result<()> {
    // SAFETY: sets a value of the calling thread.
    outcome(unsafe { autoloss_keep_to_this_thread() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn a_thread_that_keeps_to_itself_leaves_others_their_threads() {
        let before = tch::get_num_threads();
        tch::set_num_threads(2);
        let kept = std::thread::spawn(|| {
            keep_to_this_thread().unwrap();
            tch::get_num_threads()
        });
        assert_eq!(kept.join().unwrap(), 1);
        assert_eq!(tch::get_num_threads(), 2);
        assert_eq!(std::thread::spawn(tch::get_num_threads).join().unwrap(), 2);
        tch::set_num_threads(before);
    }

    #[test]
    fn autocast_lasts_as_long_as_its_guard() {
        let ones = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        let kind = || ones.matmul(&ones).kind();
        assert_eq!(kind(), Kind::Float);
        {
            let _guard = Autocast::to_bf16(Device::Cpu).unwrap();
            assert_eq!(kind(), Kind::BFloat16);
        }
        assert_eq!(kind(), Kind::Float);
    }

    #[test]
    fn gradients_are_dropped_and_their_norm_is_that_of_all() {
        let (a, b) = (Tensor::from_slice(&[3.0f32]), Tensor::from_slice(&[4.0f32]));
        let (a, b) = (a.set_requires_grad(true), b.set_requires_grad(true));
        assert_eq!(gradient_norm([&a, &b]).unwrap(), 0.0);
        ((a.square() + b.square()) * 0.5)
            .sum(Kind::Float)
            .backward();
        assert_eq!(gradient_norm([&a, &b]).unwrap(), 5.0);
        drop_gradients([&a]).unwrap();
        assert!(!a.grad().defined() && b.grad().defined());
    }

    #[test]
    fn errors_of_libtorch_come_back_as_such() {
        let (a, m) = (Tensor::ones([2], (Kind::Float, Device::Cpu)), Tensor::new());
        assert!(sgd(&[(&a, &m)], 0.1, 0.9, 0.0, 1.0).is_err());
    }
}
