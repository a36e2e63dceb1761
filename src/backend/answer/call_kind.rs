//! The kinds of call that a client runs.

/// The two kinds of call a client runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// A function with JSON arguments.
    Function,
    /// A custom tool with free-form input.
    Custom,
}

impl CallKind {
    /// The call's `type`, which is also the field that holds it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Custom => "custom",
        }
    }

    /// The field with what the tool is called with.
    pub const fn payload_field(self) -> &'static str {
        match self {
            Self::Function => "arguments",
            Self::Custom => "input",
        }
    }
}
