//! Encrypted reasoning, by the id of the call that followed it.

use std::sync::Arc;

use crate::backend::answer::reasoning::KeptReasoning;
use crate::backend::request::body::Provenance;
use crate::backend::request::context::RememberedReasoning;
use crate::server::memory::bounded::{ALLOCATION, Bounded, Charge};
use crate::server::memory::{Kind, Scope};

/// The memory of chats' reasoning.
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
    /// Stores the `reasoning` of one answer.
    pub(in crate::server) fn keep(&self, scope: Scope, provenance: &Arc<Provenance>, reasoning: Vec<KeptReasoning>) {
        let entry = |kept: KeptReasoning| {
            let key = scope.key(Kind::Call, &kept.call_id);
            let charge = Arc::new(self.0.charge(size(&kept))?);
            let reasoning = Arc::new(RememberedReasoning { kept, provenance: Arc::clone(provenance) });
            Some((key, Kept { reasoning, _charge: charge }))
        };
        self.0.keep(reasoning.into_iter().filter_map(entry));
    }

    /// Returns the reasoning that preceded the call `id`.
    pub(in crate::server) fn recall(&self, scope: Scope, id: &str) -> Option<Arc<RememberedReasoning>> {
        self.0.recall(scope.key(Kind::Call, id)).map(|kept| kept.reasoning)
    }
}

/// Returns the memory of `kept`, including its share of the answer's common data.
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

/// Several hundred turns; more than a person has open at once.
const MOST_BYTES: usize = 8 << 20;

/// An account and a model's name, with their allocations.
const PROVENANCE: usize = 256;
