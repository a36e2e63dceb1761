//! The kinds of call that a client runs itself.

/// A kind of call that a client runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// A function with JSON arguments.
    Function,
    /// A custom tool with free-form input.
    Custom,
}

impl CallKind {
    /// Returns the call's `type`, which is also the name of the field that holds it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Custom => "custom",
        }
    }

    /// Returns the field with the arguments or input.
    pub const fn payload_field(self) -> &'static str {
        match self {
            Self::Function => "arguments",
            Self::Custom => "input",
        }
    }
}
