//! Advice for the user of a refused model.

use crate::models::Models;

impl Models {
    /// Returns sentences to append to the backend's message about `refused`, each with a space before it: its
    /// successor, the available models, and how to map the name. The account's own list is mentioned only if the
    /// backend has sent it.
    pub fn advice(&self, refused: &str) -> String {
        let mut usable = self.usable_names();
        let successor = self.upgrade_of(refused);
        let sentence = match &successor {
            Some(successor) if self.strict => {
                format!(" Its successor is {successor}, which --strict-model keeps from being sent in its place.")
            }
            Some(successor) => format!(" Its successor is {successor}."),
            None => String::new(),
        };
        if let Some(successor) = successor {
            usable.retain(|name| *name != successor);
            usable.insert(0, successor);
        }
        usable.retain(|name| name != refused);
        let whose = match self.live().is_empty() {
            true => "The account's own list of models is not known yet; this version knows of",
            false => "Models of this account:",
        };
        let names = if usable.is_empty() { "none".to_owned() } else { usable.join(", ") };
        let example = usable.first().map_or("MODEL", String::as_str);
        format!("{sentence} {whose} {names}. Use one of them, or map the name: --model-alias {refused}={example}")
    }
}
