//! The same bytes give the same answer however they are cut.

use codex_proxy::backend::answer::Step;
use codex_proxy::backend::answer::stop::StopSequences;
use proptest::prelude::*;

use super::fold::{chunks, collect, completion, data, meta, of_chunks, of_completion, relay};
use super::recordings::streams;

pub(crate) fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
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

/// The project's own streams, each with its frames.
pub(crate) fn own_frames() -> &'static [Vec<Vec<u8>>] {
    OWN.get_or_init(read_own_frames)
}

fn read_own_frames() -> Vec<Vec<Vec<u8>>> {
    let own = streams().into_iter().take_while(|(name, _)| !name.starts_with("chatlas") && !name.starts_with("vercel"));
    own.map(|(_, stream)| {
        let text = String::from_utf8(stream).unwrap();
        text.split_inclusive("\n\n").map(|frame| frame.as_bytes().to_vec()).collect()
    })
    .collect()
}

/// A stream and what happens to it: frames are lost, repeated and moved, bytes are changed.
#[derive(Debug, Clone)]
pub(crate) struct Damaged {
    which: prop::sample::Index,
    moves: Vec<(prop::sample::Index, prop::sample::Index, u8)>,
    bytes: Vec<(prop::sample::Index, u8)>,
}

pub(crate) fn damaged() -> impl Strategy<Value = Damaged> {
    let moves = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 0..6);
    let bytes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (any::<prop::sample::Index>(), moves, bytes).prop_map(|(which, moves, bytes)| Damaged { which, moves, bytes })
}

impl Damaged {
    /// What is left of one of `all`.
    pub(crate) fn stream(&self, all: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut frames = all[self.which.index(all.len())].clone();
        for (from, to, how) in &self.moves {
            let (from, to) = (from.index(frames.len()), to.index(frames.len()));
            match how {
                0 if frames.len() > 1 => drop(frames.remove(from)),
                1 => frames.insert(to, frames[from].clone()),
                _ => frames.swap(from, to),
            }
        }
        let mut stream = frames.concat();
        for (place, byte) in &self.bytes {
            let place = place.index(stream.len());
            stream[place] = *byte;
        }
        stream
    }
}

static OWN: std::sync::OnceLock<Vec<Vec<Vec<u8>>>> = std::sync::OnceLock::new();

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_happens_to_a_stream_cuts_change_nothing_and_chunks_hold_what_a_document_holds(
        damage in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        stops in any::<bool>(),
    ) {
        let stream = damage.stream(own_frames());
        let mut meta = meta();
        meta.stop = StopSequences::new(if stops { vec!["is".to_owned(), "\n\n".to_owned()] } else { Vec::new() });
        let pieces = cut(&stream, &cuts);
        let (streamed, buffered) = (chunks(&meta, &[&stream]), completion(&meta, &[&stream]));
        prop_assert_eq!(&chunks(&meta, &pieces), &streamed);
        prop_assert_eq!(&completion(&meta, &pieces), &buffered);
        prop_assert!(streamed.1 != Step::Complete || buffered.1 == Step::Complete);
        if streamed.1 == Step::Complete {
            prop_assert_eq!(of_chunks(&streamed.0), of_completion(&buffered.0));
        }
        let (relayed, collected) = (relay(&[&stream]), collect(&[&stream]));
        prop_assert_eq!(&relay(&pieces), &relayed);
        prop_assert_eq!(&collect(&pieces), &collected);
        if relayed.1 == Step::Complete && collected.1 == Step::Complete {
            let last = data(&relayed.0).pop().unwrap();
            prop_assert_eq!(&last["response"], &serde_json::from_slice::<serde_json::Value>(&collected.0).unwrap());
        }
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
