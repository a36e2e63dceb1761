//! Who a request comes from, and what the key of that one allows.
//!
//! * A limit holds for what would be sent: the model behind an alias, the effort after the model's own range.

use std::sync::Arc;

use axum::extract::Request;

use crate::fault::{Fault, FaultKind};
use crate::keys::digest::KeyDigest;
use crate::keys::named::{KeyName, NamedKey};
use crate::models::effort::Effort;
use crate::models::{Models, Resolution};

/// Who a request comes from; in the extensions of a request that has passed the guards.
#[derive(Debug, Clone, Default)]
pub(in crate::server) enum Holder {
    /// Anybody who reaches the port, where no key is needed.
    #[default]
    Local,
    /// The holder of a key without a name.
    Unnamed(KeyDigest),
    /// The holder of a named key.
    Named(Arc<NamedKey>),
}

impl Holder {
    /// Returns who `request` comes from.
    pub(in crate::server) fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Returns the name of the key; `None` where none is needed.
    pub(in crate::server) fn name(&self) -> Option<&str> {
        match self {
            Self::Local => None,
            Self::Unnamed(_) => Some(KeyName::DEFAULT),
            Self::Named(key) => Some(key.name.as_str()),
        }
    }

    /// Returns what identifies the key.
    pub(in crate::server) fn digest(&self) -> Option<KeyDigest> {
        match self {
            Self::Local => None,
            Self::Unnamed(digest) => Some(*digest),
            Self::Named(key) => Some(key.digest),
        }
    }

    /// Returns the named key.
    pub(in crate::server) fn key(&self) -> Option<&NamedKey> {
        match self {
            Self::Local | Self::Unnamed(_) => None,
            Self::Named(key) => Some(key),
        }
    }

    /// Returns the key, if it is limited to some models.
    pub(in crate::server) fn limited_to_models(&self) -> Option<&NamedKey> {
        self.key().filter(|key| !key.models.is_empty())
    }

    /// Returns the highest effort that the key allows, if it limits that.
    pub(in crate::server) fn most_effort(&self) -> Option<Effort> {
        self.key().and_then(|key| key.max_effort)
    }

    /// Returns whether the key allows requests that are sent to `model`.
    pub(in crate::server) fn may_use(&self, models: &Models, model: &str) -> bool {
        self.limited_to_models().is_none_or(|key| key.models.iter().any(|name| models.means(name, model)))
    }

    /// Refuses a model that the key does not allow.
    pub(in crate::server) fn check_model(&self, models: &Models, model: &str) -> Result<(), Fault> {
        let Some(key) = self.limited_to_models().filter(|_| !self.may_use(models, model)) else { return Ok(()) };
        let (name, allowed) = (&key.name, key.models.join(", "));
        let message = format!("the key {name} may not use the model {model}; it may use: {allowed}");
        Err(Fault::new(FaultKind::NotPermitted, message).with_code("model_not_allowed").with_param("model"))
    }

    /// Refuses a model or an effort that the key does not allow. `field` is where the request names its effort.
    pub(in crate::server) fn check(
        &self,
        models: &Models,
        resolution: &Resolution,
        field: &'static str,
    ) -> Result<(), Fault> {
        self.check_model(models, &resolution.model)?;
        match (self.key(), resolution.effort, resolution.most_effort) {
            (Some(key), Some(effort), Some(most)) if resolution.exceeds() => Err(above(key, effort, most, field)),
            _ => Ok(()),
        }
    }
}

/// Creates the error of an effort above the most that a key allows.
pub(in crate::server) fn above(key: &NamedKey, effort: Effort, most: Effort, field: &'static str) -> Fault {
    let name = &key.name;
    let message =
        format!("the key {name} allows an effort of at most {most}, and this request would be sent with {effort}");
    Fault::new(FaultKind::NotPermitted, message).with_code("effort_not_allowed").with_param(field)
}
