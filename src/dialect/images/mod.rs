//! OpenAI's Images API: `POST /v1/images/generations` and `/v1/images/edits`.
//!
//! * [`request`] reads JSON, [`form`] the parts of a form; both give an [`ImageRequest`](request::ImageRequest), whose
//!   fields [`settings`] checks.
//! * [`body`] writes it for the backend's endpoints of the same names. These take JSON alone, at most [`MOST_SOURCES`]
//!   images, and make one image a call, whatever `n` is: several images are several calls.
//! * [`reply`] reads the answer of one call, a document or a stream of events, cut anywhere. [`document`] folds the answers
//!   of all calls into one, [`events`] writes each as it comes. [`picture`] tells what an image really is.
//! * The backend decides model, size, quality and format by itself, as measured in public (openai/codex#28723 and reports of
//!   September 2026): the answer holds what came, never what was asked for.

pub mod body;
pub mod document;
pub mod events;
mod field;
pub mod form;
pub mod picture;
pub mod reply;
pub mod request;
pub mod settings;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageTask {
    /// An image from a text.
    Generation,
    /// An image from a text and other images.
    Edit,
}

impl ImageTask {
    /// Returns the path below the base URL, the backend's as the client's.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Generation => "/images/generations",
            Self::Edit => "/images/edits",
        }
    }

    /// Returns the type of the event with a finished image.
    pub const fn completed(self) -> &'static str {
        match self {
            Self::Generation => "image_generation.completed",
            Self::Edit => "image_edit.completed",
        }
    }
}

/// The most images that the backend takes for an edit (Codex CLI 0.155, `ext/image-generation`).
pub const MOST_SOURCES: usize = 5;
