//! Where values lie: slots of memory, which complete fields leave to others once nothing uses them.

use crate::expr::Extent;
use crate::lower::Sizes;
use crate::program::View;
use crate::tile::TILE;

/// The slots of a program so far.
pub(crate) struct Places {
    sizes: Sizes,
    /// Length of each slot.
    pub(crate) slots: Vec<usize>,
    /// Complete fields with the last phase that uses them.
    live: Vec<(View, usize)>,
    /// Those that nothing uses any more.
    free: Vec<View>,
}

impl Places {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            slots: Vec::new(),
            live: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn rows(&self, extent: Extent) -> usize {
        if extent.channels {
            self.sizes.channels
        } else {
            1
        }
    }

    /// Length, tile stride and row stride of a complete field.
    fn plane(&self, extent: Extent) -> (usize, usize, usize) {
        let length = self.rows(extent) * TILE;
        let row = if extent.channels { TILE } else { 0 };
        if extent.positions {
            (self.sizes.tiles() * length, length, row)
        } else {
            (length, 0, row)
        }
    }

    fn slot(&mut self, (length, tile, row): (usize, usize, usize)) -> View {
        self.slots.push(length);
        View {
            slot: self.slots.len() - 1,
            tile,
            row,
        }
    }

    /// A place for a number.
    pub(crate) fn number(&mut self) -> View {
        self.slot((TILE, 0, 0))
    }

    /// A place for a complete field that stays.
    pub(crate) fn field(&mut self, extent: Extent) -> View {
        self.slot(self.plane(extent))
    }

    /// A place for a complete field, which others take over after the phase `until`; without one it stays.
    pub(crate) fn complete(&mut self, extent: Extent, until: Option<usize>) -> View {
        let (length, tile, row) = self.plane(extent);
        let fits =
            |view: &View| (view.tile, view.row) == (tile, row) && self.slots[view.slot] == length;
        let view = match self.free.iter().position(fits) {
            Some(at) => self.free.swap_remove(at),
            None => self.slot((length, tile, row)),
        };
        self.live.extend(until.map(|until| (view, until)));
        view
    }

    /// Frees the complete fields that no phase from this one on uses.
    pub(crate) fn release(&mut self, phase: usize) {
        let ended = self.live.extract_if(.., |(_, until)| *until < phase);
        self.free.extend(ended.map(|(view, _)| view));
    }

    /// A place for one tile.
    pub(crate) fn temporary(&mut self, extent: Extent, free: &mut [Vec<usize>; 2]) -> View {
        let row = if extent.channels { TILE } else { 0 };
        match free[usize::from(extent.channels)].pop() {
            Some(slot) => View { slot, tile: 0, row },
            None => self.slot((self.rows(extent) * TILE, 0, row)),
        }
    }
}
