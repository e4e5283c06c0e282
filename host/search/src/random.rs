//! Counter-based random numbers: candidate n draws from its own streams of ChaCha8, keyed by the
//! run's seed. Nothing about a generator has to be saved, so a run can be cut anywhere and go on
//! exactly; and one more draw in the making of one candidate moves no other.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers are for; each purpose has its own key.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Fresh or mutated graphs of candidate n.
    Graphs,
    /// Parent and branches of the child whose first proposal is candidate n.
    Plan,
}

/// The generator of a purpose and a counter.
#[must_use]
pub fn stream(seed: u64, draws: Draws, counter: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let name: &[u8; 8] = match draws {
        Draws::Graphs => b"graphs..",
        Draws::Plan => b"plan....",
    };
    key[8..16].copy_from_slice(name);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(counter);
    generator
}

/// The generator of statistics, whose results are to be the same wherever they are computed.
pub(crate) fn fixed() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([0; 32])
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_seed_purpose_and_counter() {
        let draw = |seed, draws, counter| stream(seed, draws, counter).next_u64();
        assert_eq!(draw(1, Draws::Graphs, 5), draw(1, Draws::Graphs, 5));
        let mut values = vec![
            draw(1, Draws::Graphs, 5),
            draw(2, Draws::Graphs, 5),
            draw(1, Draws::Plan, 5),
            draw(1, Draws::Graphs, 6),
        ];
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 4);
    }
}
