//! The same bytes give the same answer however they are cut.

use proptest::prelude::*;

use super::fold::{chunks, collect, completion, meta, relay};
use super::recordings::streams;

fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

#[test]
fn one_byte_at_a_time() {
    for (name, stream) in streams().into_iter().filter(|(_, stream)| stream.len() < 200_000) {
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(chunks(&meta(), &bytes), chunks(&meta(), &[&stream]), "{name}");
        assert_eq!(relay(&bytes), relay(&[&stream]), "{name}");
    }
}

static STREAMS: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();

proptest! {
    #[test]
    fn any_cuts(which in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16)) {
        let all = STREAMS.get_or_init(|| streams().into_iter().filter(|(_, stream)| stream.len() < 200_000).collect());
        let (_, stream) = &all[which.index(all.len())];
        let pieces = cut(stream, &cuts);
        prop_assert_eq!(chunks(&meta(), &pieces), chunks(&meta(), &[stream]));
        prop_assert_eq!(completion(&meta(), &pieces), completion(&meta(), &[stream]));
        prop_assert_eq!(relay(&pieces), relay(&[stream]));
        prop_assert_eq!(collect(&pieces), collect(&[stream]));
    }
}
