//! libtorch as a whole: the device, threads and memory.
//!
//! One build serves machines with and without a GPU: libtorch's CUDA part is opened at run time
//! where it is installed, globally, so that its kernels register themselves before first use.

#![allow(
    unsafe_code,
    reason = "opening libtorch_cuda.so runs its initialisers; mallopt is C"
)]

use crate::{Result, TrainError};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::sync::OnceLock;
use tch::Device;

/// Opens `libtorch_cuda.so` once, if the dynamic loader finds it. Why not, otherwise.
fn cuda_library() -> &'static std::result::Result<(), String> {
    static OPENED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    OPENED.get_or_init(|| {
        // SAFETY: a part of the libtorch this program is linked to; its initialisers only register
        // kernels. It is never closed.
        let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
        library
            .map(std::mem::forget)
            .map_err(|error| error.to_string())
    })
}

/// Reads `auto`, `cpu` or `cuda:N`. `auto` takes the first GPU where there is one.
///
/// # Errors
/// [`TrainError::Device`] for another word, or a GPU that is not there.
pub fn device(name: &str) -> Result<Device> {
    let refuse = |why: String| TrainError::Device {
        name: name.to_owned(),
        why,
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(if gpus() > 0 {
            Device::Cuda(0)
        } else {
            Device::Cpu
        }),
        _ => {
            let number = name
                .strip_prefix("cuda:")
                .and_then(|number| number.parse::<usize>().ok());
            let number = number.ok_or_else(|| refuse("use auto, cpu or cuda:N".into()))?;
            if let Err(why) = cuda_library() {
                return Err(refuse(format!(
                    "libtorch's CUDA part is not installed ({why})"
                )));
            }
            let count = gpus();
            if number >= count {
                return Err(refuse(format!("libtorch sees {count} GPU(s)")));
            }
            Ok(Device::Cuda(number))
        }
    }
}

/// All that a name stands for: `auto` for every GPU, where there is one, any other for one [`device`].
///
/// # Errors
/// As [`device`].
pub fn devices(name: &str) -> Result<Vec<Device>> {
    match (name, gpus()) {
        ("auto", count @ 1..) => Ok((0..count).map(Device::Cuda).collect()),
        _ => Ok(vec![device(name)?]),
    }
}

/// Number of GPUs libtorch can use.
pub fn gpus() -> usize {
    if cuda_library().is_err() || !tch::Cuda::is_available() {
        return 0;
    }
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// The name a plugin understands.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

/// Version of the libtorch this program was built for.
pub fn libtorch_version() -> &'static str {
    autoloss_plugin_api::LIBTORCH_VERSION
}

/// Sets the threads of libtorch's operators.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}

/// From now on freed memory stays with the process, up to 2 GiB of it.
///
/// A training step frees what the next one allocates again. Returned to the system in between, every
/// page of it is cleared and mapped anew in each step, some 7 % of the step's time on a CPU.
pub fn keep_freed_memory() {
    // SAFETY: both only set numbers of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// The allocator takes no larger block for one it may keep.
#[cfg(target_env = "gnu")]
const LARGEST_KEPT: libc::c_int = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        assert!(
            device("gpu")
                .unwrap_err()
                .to_string()
                .contains("use auto, cpu or cuda:N")
        );
        assert!(device("cuda:9999").is_err());
        device("auto").unwrap();
    }
}
