//! Registration of what a plugin holds.
//!
//! `inventory` collects the entries of one library at load time. Each library has its own registry,
//! and the linker drops entries in a linked rlib that nothing refers to; the boundary therefore
//! reports an empty registry as an error that says so.

use crate::{
    Metric, MetricInfo, MetricOptions, NetworkInfo, NetworkOptions, ProxyNetwork, Result,
    ScreeningMetric, ScreeningMetricInfo, Task, TaskInfo, TaskOptions,
};

/// A registered type: what it offers (`I`), and how an object (`O`) is made with options (`P`).
pub struct Entry<I, P, O: ?Sized> {
    info: fn() -> I,
    make: fn(&P) -> Result<Box<O>>,
}

/// A registered task.
pub type TaskEntry = Entry<TaskInfo, TaskOptions, dyn Task>;
/// A registered network.
pub type NetworkEntry = Entry<NetworkInfo, NetworkOptions, dyn ProxyNetwork>;
/// A registered metric.
pub type MetricEntry = Entry<MetricInfo, MetricOptions, dyn Metric>;
/// A registered screening metric.
pub type ScreeningMetricEntry = Entry<ScreeningMetricInfo, MetricOptions, dyn ScreeningMetric>;

inventory::collect!(TaskEntry);
inventory::collect!(NetworkEntry);
inventory::collect!(MetricEntry);
inventory::collect!(ScreeningMetricEntry);

impl TaskEntry {
    /// The entry of `T`.
    pub const fn of_task<T: Task + 'static>() -> Self {
        Self {
            info: T::info,
            make: |options| Ok(Box::new(T::open(options)?)),
        }
    }
}

impl NetworkEntry {
    /// The entry of `N`.
    pub const fn of_network<N: ProxyNetwork + 'static>() -> Self {
        Self {
            info: N::info,
            make: |options| Ok(Box::new(N::build(options)?)),
        }
    }
}

impl MetricEntry {
    /// The entry of `M`.
    pub const fn of_metric<M: Metric + 'static>() -> Self {
        Self {
            info: M::info,
            make: |options| Ok(Box::new(M::create(options)?)),
        }
    }
}

impl ScreeningMetricEntry {
    /// The entry of `M`.
    pub const fn of_screening_metric<M: ScreeningMetric + 'static>() -> Self {
        Self {
            info: M::info,
            make: |options| Ok(Box::new(M::create(options)?)),
        }
    }
}

/// What an entry offers, under a name.
pub trait Offer {
    /// Kind of thing, for messages.
    const KIND: &'static str;
    /// Its name.
    fn name(&self) -> &str;
}

macro_rules! offers {
    ($($info:ty: $kind:literal),*) => {
        $(impl Offer for $info {
            const KIND: &'static str = $kind;
            fn name(&self) -> &str {
                &self.name
            }
        })*
    };
}

offers!(
    TaskInfo: "task",
    NetworkInfo: "network",
    MetricInfo: "metric",
    ScreeningMetricInfo: "screening metric"
);

impl<I: Offer, P, O: ?Sized> Entry<I, P, O>
where
    Self: inventory::Collect,
{
    /// What the library registered of this kind, by name, since the order of registration is the
    /// linker's.
    pub(crate) fn offers() -> Vec<I> {
        let entries = inventory::iter::<Self>();
        let mut offers: Vec<I> = entries.map(|entry| (entry.info)()).collect();
        offers.sort_by(|a, b| a.name().cmp(b.name()));
        offers
    }

    /// Makes an object of the type registered under a name.
    ///
    /// # Errors
    /// An unknown name, or the author's own.
    pub(crate) fn make(name: &str, options: &P) -> Result<Box<O>> {
        let mut entries = inventory::iter::<Self>();
        match entries.find(|entry| (entry.info)().name() == name) {
            Some(entry) => (entry.make)(options),
            None => Err(format!("there is no {} '{name}'", I::KIND).into()),
        }
    }
}

/// Registers a type that implements [`Task`](crate::Task).
#[macro_export]
macro_rules! register_task {
    ($task:ty) => {
        $crate::inventory::submit! { $crate::TaskEntry::of_task::<$task>() }
    };
}

/// Registers a type that implements [`ProxyNetwork`](crate::ProxyNetwork).
#[macro_export]
macro_rules! register_network {
    ($network:ty) => {
        $crate::inventory::submit! { $crate::NetworkEntry::of_network::<$network>() }
    };
}

/// Registers a type that implements [`Metric`](crate::Metric).
#[macro_export]
macro_rules! register_metric {
    ($metric:ty) => {
        $crate::inventory::submit! { $crate::MetricEntry::of_metric::<$metric>() }
    };
}

/// Registers a type that implements [`ScreeningMetric`](crate::ScreeningMetric).
#[macro_export]
macro_rules! register_screening_metric {
    ($metric:ty) => {
        $crate::inventory::submit! {
            $crate::ScreeningMetricEntry::of_screening_metric::<$metric>()
        }
    };
}
