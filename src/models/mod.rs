//! Models: the known ones, the meaning of a client's name for one, and the allowed efforts.
//!
//! * [`effort`]: the levels of reasoning.
//! * [`catalogue`]: the built-in table.
//! * [`live`]: the account's own list, once fetched. It overrides everything but the effort ranges of the original
//!   seven models.
//! * `learned`: knowledge from rejections since that list.
//! * `image`: the models that make images, of which there is no list.
//! * [`entry`]: an entry of `/v1/models`; `codex`: the list in the Codex CLI's form.
//! * [`same`]: the equality of two names. `within`: the limits that a client's key sets.
//!
//! [`Models`] combines them. Pure: no I/O, no clock, no runtime.
//!
//! ```
//! use codex_proxy::models::{Models, effort::Effort};
//!
//! let models = Models::default();
//! let resolution = models.resolve(Some("gpt-5.1-codex-high-preview"), Some("minimal"));
//! assert_eq!(resolution.model, "gpt-5.1-codex");
//! assert_eq!(resolution.effort, Some(Effort::Low));
//! ```

mod advice;
pub mod catalogue;
mod codex;
pub mod effort;
pub mod entry;
mod image;
mod learned;
pub mod live;
mod name;
pub mod same;
pub mod tier;
mod within;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use catalogue::Model;
use effort::Effort;
use entry::Entry;
use learned::Learned;
use live::LiveCatalogue;
use name::Name;
use tier::{Tier, Tiers};

/// The known models and the operator's settings about them.
#[derive(Debug, Default)]
pub struct Models {
    /// Aliases, from and to, which come first; names compare without regard to case.
    aliases: Vec<(String, String)>,
    /// The operator's model for a request that names no model of this backend.
    default_model: Option<String>,
    /// What the operator wants for names of Anthropic's.
    tiers: Tiers,
    /// The account's own list; empty until known.
    live: RwLock<Arc<LiveCatalogue>>,
    /// Knowledge from rejections since that list.
    learned: RwLock<Learned>,
    /// Whether a successor is never sent in a model's place.
    strict: bool,
}

/// The order of a request's two places for an effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffortOrder {
    /// The request's own field comes first: OpenAI's clients send one only if the user has chosen it.
    FieldFirst,
    /// The model's name, and the name it is an alias of, come first: Claude Code sends an effort with every request.
    NameFirst,
}

/// The resolved model and effort of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The name to send.
    pub model: String,
    /// The model that the request's name means; `model` may be its successor.
    pub meant: String,
    /// The effort to send; `None` omits it.
    pub effort: Option<Effort>,
    /// The requested effort, from a field or from the model's suffix, before clamping.
    pub asked_effort: Option<Effort>,
    /// Whether the request named a model of another family and gets the default one: logged once.
    pub foreign: bool,
    /// Whether the model has the `priority` service tier.
    pub supports_priority: bool,
    /// The highest effort that the client's key allows, if it sets one.
    pub most_effort: Option<Effort>,
}

impl Models {
    /// Creates the models with the operator's `aliases` (from, to) and default model.
    pub fn new(aliases: Vec<(String, String)>, default_model: Option<String>) -> Self {
        Self { aliases, default_model, ..Self::default() }
    }

    /// Sets the models that stand for Anthropic's.
    #[must_use]
    pub fn for_tiers(self, tiers: Tiers) -> Self {
        Self { tiers, ..self }
    }

    /// Sets whether a retired model's successor is never sent in its place.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Replaces the account's own list. If it differs, the knowledge from rejections is cleared.
    pub fn set_live(&self, catalogue: LiveCatalogue) {
        let old =
            std::mem::replace(&mut *self.live.write().unwrap_or_else(PoisonError::into_inner), Arc::new(catalogue));
        if *old != *self.live() {
            self.forget();
        }
    }

    /// Clears the knowledge from rejections, which may be another account's.
    pub fn forget(&self) {
        *self.learned_mut() = Learned::default();
    }

    /// The account's own list; empty until known.
    pub fn live(&self) -> Arc<LiveCatalogue> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves a request for the model `asked` and the effort `effort` of its field, which comes before one in the
    /// model's name. Never fails: an unknown value is left to the backend.
    pub fn resolve(&self, asked: Option<&str>, effort: Option<&str>) -> Resolution {
        self.resolve_by(EffortOrder::FieldFirst, asked, effort)
    }

    /// Resolves a request as [`resolve`](Self::resolve) does, with the places of an effort in the given order.
    pub fn resolve_by(&self, order: EffortOrder, asked: Option<&str>, effort: Option<&str>) -> Resolution {
        let live = self.live();
        let holds = |id: &str| live.find(id).or_else(|| catalogue::built_in(id)).is_some();
        let asked = asked.map(str::trim).filter(|name| !name.is_empty());
        let (mut name, mut hint) = match asked {
            Some(name) => name::aliased(name, &self.aliases, holds)
                .unwrap_or_else(|| name::normalise(tier::without_window(name), &self.aliases, holds)),
            None => (Name::Foreign, None),
        };
        if let (Some(asked), Name::Foreign) = (asked, &name) {
            (name, hint) = self.of_anthropic(asked, &live).unwrap_or((name, hint));
        }
        let foreign = asked.is_some() && name == Name::Foreign;
        let (model, default_hint) = match name {
            Name::Known(model) => (model, None),
            Name::Foreign => self.default_for(&live, holds),
        };
        let (in_field, in_name) = (effort.and_then(Effort::parse), hint.or(default_hint));
        let asked_effort = match order {
            EffortOrder::FieldFirst => in_field.or(in_name),
            EffortOrder::NameFirst => in_name.or(in_field),
        };
        let is_refused = !self.strict && self.learned().is_refused(&model);
        let successor = if is_refused { self.upgrade_of(&model) } else { None };
        let sent = successor.unwrap_or_else(|| model.clone());
        self.sent_as(sent, Resolution { asked_effort, foreign, ..Resolution::meaning(model) })
    }

    /// Records that the backend refuses the account the model of `sent`, and returns its successor at the requested
    /// effort. `None` if there is no successor or the operator is strict.
    pub fn replace_refused(&self, sent: &Resolution) -> Option<Resolution> {
        self.learned_mut().refuse(&sent.model);
        let successor = if self.strict { None } else { self.upgrade_of(&sent.model) };
        let replaced = successor.map(|successor| self.sent_as(successor, sent.clone()));
        replaced.filter(|replaced| !replaced.exceeds())
    }

    /// Records that the model of `sent` supports only `levels`, and returns the nearest to the requested effort. `None`
    /// if that changes nothing.
    pub fn refit(&self, sent: &Resolution, levels: Vec<Effort>) -> Option<Resolution> {
        self.learned_mut().take(&sent.model, levels);
        let again = self.sent_as(sent.model.clone(), sent.clone());
        Some(again).filter(|again| again.effort != sent.effort && !again.exceeds())
    }

    /// Returns the list of `/v1/models`: the account's own models if known, else the original seven and the newer
    /// built-in ones; each followed by its effort variants.
    pub fn list(&self) -> Vec<Entry> {
        let live = self.live();
        let newer = |model: &Model| !live.is_empty() && model.generation == catalogue::Generation::Newer;
        let built_in = catalogue::TABLE
            .iter()
            .filter(|model| model.visibility == catalogue::Visibility::Listed)
            .filter(|model| !newer(model) && live.listed().all(|listed| listed.id != model.id));
        live.listed().chain(built_in).flat_map(Entry::with_variants).collect()
    }

    /// Returns the names that the account can be expected to have: its own list if known, else the newer built-in
    /// models; without retired or refused ones.
    pub fn usable_names(&self) -> Vec<String> {
        let live = self.live();
        let built_in = catalogue::TABLE.iter().filter(|model| {
            live.is_empty()
                && model.generation == catalogue::Generation::Newer
                && model.visibility == catalogue::Visibility::Listed
        });
        let learned = self.learned();
        let usable = live.listed().chain(built_in).filter(|model| !model.retired && !learned.is_refused(&model.id));
        usable.map(|model| model.id.clone().into_owned()).collect()
    }

    /// Returns the [usable names](Self::usable_names) in the order for people: that of a request without one first.
    pub fn names_for_people(&self) -> Vec<String> {
        let usual = self.resolve(None, None).model;
        let mut names = self.usable_names();
        names.retain(|name| *name != usual);
        names.insert(0, usual);
        names
    }

    /// Returns the successor of `id`, if a catalogue names one that the account can be expected to have.
    pub fn upgrade_of(&self, id: &str) -> Option<String> {
        let live = self.live();
        let mut next = find(&live, &id.trim().to_ascii_lowercase())?.successor()?.to_owned();
        // A successor may be retired itself.
        for _ in 0..LONGEST_CHAIN {
            let is_refused = self.learned().is_refused(&next);
            if !is_refused && (live.is_empty() || live.find(&next).is_some()) {
                return Some(next);
            }
            next = find(&live, &next)?.successor()?.to_owned();
        }
        None
    }

    /// Finds a model behind a prefix of Anthropic's names, as `claude-gpt-6-sol`: the list for their clients has such names.
    pub fn find_prefixed(&self, id: &str) -> Option<Entry> {
        tier::behind_prefix(&id.to_ascii_lowercase()).and_then(|name| self.find(name))
    }

    /// Returns the entry `id`: a listed one, a hidden model, or either with an allowed effort. An alias has its
    /// model's.
    pub fn find(&self, id: &str) -> Option<Entry> {
        let live = self.live();
        let holds = |id: &str| find(&live, id).is_some();
        if let Some((Name::Known(target), hint)) = name::aliased(id, &self.aliases, holds) {
            let model = find(&live, &target)?;
            let effort = hint.and_then(|hint| model.clamp(Some(hint)));
            let mut entry = effort.map_or_else(|| Entry::of(model), |effort| Entry::variant(model, effort));
            id.trim().clone_into(&mut entry.id);
            return Some(entry);
        }
        let id = id.trim().to_ascii_lowercase();
        if let Some(model) = find(&live, &id) {
            return Some(Entry::of(model));
        }
        let (stem, effort) = name::split_effort(&id);
        let (model, effort) = (find(&live, stem)?, effort?);
        model.efforts.contains(&effort).then(|| Entry::variant(model, effort))
    }

    /// Returns `resolution` for `model`.
    fn sent_as(&self, model: String, resolution: Resolution) -> Resolution {
        let live = self.live();
        let known = find(&live, &model);
        let asked = resolution.asked_effort;
        let learned = self.learned();
        let effort = learned.fit(&model, known.map_or(asked, |known| known.clamp(asked)), asked);
        let levels = learned.levels(&model).or(known.map(|known| known.efforts.as_ref())).unwrap_or_default();
        let default = known.and_then(|known| known.default_effort);
        let within = |most| within::effort(most, effort, asked, levels, default);
        Resolution {
            effort: resolution.most_effort.map_or(effort, within),
            supports_priority: known.is_some_and(|known| known.priority),
            model,
            ..resolution
        }
    }

    fn learned(&self) -> RwLockReadGuard<'_, Learned> {
        self.learned.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn learned_mut(&self) -> RwLockWriteGuard<'_, Learned> {
        self.learned.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a name of Anthropic's means: a model of this backend's behind a prefix, or the one that stands for a tier.
    fn of_anthropic(&self, asked: &str, live: &LiveCatalogue) -> Option<(Name, Option<Effort>)> {
        let asked = asked.to_ascii_lowercase();
        let asked = tier::without_window(&asked);
        let holds = |id: &str| find(live, id).is_some();
        if let Some(name) = tier::behind_prefix(asked)
            && let (Name::Known(model), hint) = name::normalise(name, &self.aliases, holds)
        {
            return Some((Name::Known(model), hint));
        }
        let (_, hint) = name::split_effort(asked);
        let tier = Tier::of(asked)?;
        if let Some(wanted) = self.tiers.of(tier)
            && let (Name::Known(model), own) = name::chosen(wanted, holds)
        {
            return Some((Name::Known(model), hint.or(own)));
        }
        let learned = self.learned();
        let built_in = catalogue::TABLE.iter().filter(|model| {
            live.is_empty()
                && model.generation == catalogue::Generation::Newer
                && model.visibility == catalogue::Visibility::Listed
        });
        let usable = live.listed().chain(built_in).filter(|model| !model.retired && !learned.is_refused(&model.id));
        let usable: Vec<&Model> = usable.collect();
        let model = tier.choose(&usable)?;
        Some((Name::Known(model.id.clone().into_owned()), hint))
    }

    fn default_for(&self, live: &LiveCatalogue, holds: impl Fn(&str) -> bool) -> (String, Option<Effort>) {
        if let Some(wanted) = self.default_model.as_deref().filter(|name| !name.trim().is_empty()) {
            let aliased = name::normalise(wanted, &self.aliases, &holds);
            let chosen = || name::chosen(wanted, &holds);
            if let (Name::Known(model), hint) = if aliased.0 == Name::Foreign { chosen() } else { aliased } {
                return (model, hint);
            }
        }
        let learned = self.learned();
        let first = live.listed().find(|model| !model.retired && !learned.is_refused(&model.id));
        (first.unwrap_or_else(|| catalogue::newest()).id.clone().into_owned(), None)
    }
}

impl Resolution {
    /// Creates the resolution of an unknown model `meant`.
    fn meaning(meant: String) -> Self {
        let model = meant.clone();
        Self {
            model,
            meant,
            effort: None,
            asked_effort: None,
            foreign: false,
            supports_priority: false,
            most_effort: None,
        }
    }

    /// Returns whether the effort to send is higher than the client's key allows.
    pub fn exceeds(&self) -> bool {
        self.most_effort.zip(self.effort).is_some_and(|(most, effort)| effort > most)
    }
}

/// Finds the model `id` (lower case) in the account's own list, else in the built-in table.
fn find<'a>(live: &'a LiveCatalogue, id: &str) -> Option<&'a Model> {
    live.find(id).or_else(|| catalogue::built_in(id))
}

/// The longest chain of successors followed; a longer one is a cycle.
const LONGEST_CHAIN: usize = 4;

#[cfg(test)]
mod tests;
