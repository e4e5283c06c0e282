//! Registration of what a plugin holds.
//!
//! `inventory` collects the entries of one library at load time. Each library has its own registry,
//! and entries in a linked rlib that nothing refers to are dropped by the linker; the boundary
//! therefore reports an empty registry as an error that says so.

use crate::{
    Metric, MetricInfo, MetricOptions, NetworkInfo, NetworkOptions, ProxyNetwork, Result, Task,
    TaskInfo, TaskOptions,
};

/// A registered task.
pub struct TaskEntry {
    pub(crate) info: fn() -> TaskInfo,
    pub(crate) open: fn(&TaskOptions) -> Result<Box<dyn Task>>,
}

/// A registered network.
pub struct NetworkEntry {
    pub(crate) info: fn() -> NetworkInfo,
    pub(crate) build: fn(&NetworkOptions) -> Result<Box<dyn ProxyNetwork>>,
}

/// A registered metric.
pub struct MetricEntry {
    pub(crate) info: fn() -> MetricInfo,
    pub(crate) create: fn(&MetricOptions) -> Result<Box<dyn Metric>>,
}

impl TaskEntry {
    /// The entry of `T`.
    pub const fn of<T: Task + 'static>() -> Self {
        Self {
            info: T::info,
            open: |options| Ok(Box::new(T::open(options)?)),
        }
    }
}

impl NetworkEntry {
    /// The entry of `N`.
    pub const fn of<N: ProxyNetwork + 'static>() -> Self {
        Self {
            info: N::info,
            build: |options| Ok(Box::new(N::build(options)?)),
        }
    }
}

impl MetricEntry {
    /// The entry of `M`.
    pub const fn of<M: Metric + 'static>() -> Self {
        Self {
            info: M::info,
            create: |options| Ok(Box::new(M::create(options)?)),
        }
    }
}

inventory::collect!(TaskEntry);
inventory::collect!(NetworkEntry);
inventory::collect!(MetricEntry);

/// Registers a type that implements [`Task`](crate::Task).
#[macro_export]
macro_rules! register_task {
    ($task:ty) => {
        $crate::inventory::submit! { $crate::TaskEntry::of::<$task>() }
    };
}

/// Registers a type that implements [`ProxyNetwork`](crate::ProxyNetwork).
#[macro_export]
macro_rules! register_network {
    ($network:ty) => {
        $crate::inventory::submit! { $crate::NetworkEntry::of::<$network>() }
    };
}

/// Registers a type that implements [`Metric`](crate::Metric).
#[macro_export]
macro_rules! register_metric {
    ($metric:ty) => {
        $crate::inventory::submit! { $crate::MetricEntry::of::<$metric>() }
    };
}
