//! Any bytes, cut anywhere, are the same frames as uncut.

#![no_main]

use codex_proxy::backend::event::sse::Framer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, stream)) = input.split_first() else { return };
    let whole = frames([stream].into_iter());
    let cut = frames(stream.chunks(usize::from(seed % 13) + 1));
    assert_eq!(whole, cut, "cutting changes the frames");
    let kept: usize = whole.iter().map(|(raw, _)| raw.len()).sum();
    assert!(kept <= stream.len(), "a frame is made of what came");
    for (raw, data) in whole {
        assert!(data.len() <= raw.len(), "data is a part of its frame");
    }
});

/// The raw bytes and the data of every frame.
fn frames<'s>(pieces: impl Iterator<Item = &'s [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut framer = Framer::default();
    let mut found = Vec::new();
    for piece in pieces {
        framer.feed(piece, |frame| {
            found.push((frame.raw.to_vec(), frame.data.to_vec()));
            true
        });
    }
    framer.end(|frame| {
        found.push((frame.raw.to_vec(), frame.data.to_vec()));
        true
    });
    found
}
