//! Encrypted reasoning by the id of the call it led to.

use std::sync::Arc;

use crate::backend::answer::reasoning::KeptReasoning;
use crate::backend::request::body::Provenance;
use crate::backend::request::context::RememberedReasoning;
use crate::server::memory::bounded::{ALLOCATION, Bounded, Charge};
use crate::server::memory::{Kind, Scope};

/// Reasoning of chats.
#[derive(Debug)]
pub(in crate::server) struct ReasoningMemory(Bounded<Kept>);

#[derive(Debug, Clone)]
struct Kept {
    reasoning: Arc<RememberedReasoning>,
    _charge: Arc<Charge>,
}

impl Default for ReasoningMemory {
    fn default() -> Self {
        Self(Bounded::new(MOST_BYTES))
    }
}

impl ReasoningMemory {
    /// Keeps the `reasoning` of one answer.
    pub(in crate::server) fn keep(&self, scope: Scope, provenance: &Arc<Provenance>, reasoning: Vec<KeptReasoning>) {
        let entry = |kept: KeptReasoning| {
            let key = scope.key(Kind::Call, &kept.call_id);
            let charge = Arc::new(self.0.charge(size(&kept))?);
            let reasoning = Arc::new(RememberedReasoning { kept, provenance: Arc::clone(provenance) });
            Some((key, Kept { reasoning, _charge: charge }))
        };
        self.0.keep(reasoning.into_iter().filter_map(entry));
    }

    /// The reasoning that led to the call `id`.
    pub(in crate::server) fn recall(&self, scope: Scope, id: &str) -> Option<Arc<RememberedReasoning>> {
        self.0.recall(scope.key(Kind::Call, id)).map(|kept| kept.reasoning)
    }
}

/// What `kept` takes, its share of what its answer's others have in common included.
fn size(kept: &KeptReasoning) -> usize {
    let items = kept.before_message.iter().chain(&kept.before_call);
    let texts: usize = items.map(|item| item.capacity() + size_of::<String>() + ALLOCATION).sum();
    size_of::<RememberedReasoning>()
        + size_of::<Charge>()
        + kept.call_id.capacity()
        + texts
        + PROVENANCE
        + 4 * ALLOCATION
}

/// Some hundreds of turns; more than a person has open at once.
const MOST_BYTES: usize = 8 << 20;

/// An account and the name of a model, with what is around them.
const PROVENANCE: usize = 256;
