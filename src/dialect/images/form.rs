//! The request as a form, `multipart/form-data`: fields of text, and images as files.
//!
//! * Several images have one name, with or without brackets: `image`, `image[]`, `image[0]`.

use bytes::Bytes;

use super::ImageTask;
use super::field::Fields;
use super::picture::media_type;
use super::request::{ImageRequest, ImageSource, KNOWN};
use crate::fault::Fault;

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormPart {
    /// The field's name.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// The contents.
    pub bytes: Bytes,
}

impl<'a> ImageRequest<'a> {
    /// Reads the request in the parts of a form.
    pub fn of_form(task: ImageTask, parts: &'a [FormPart]) -> Result<Self, Fault> {
        let (mut fields, mut images, mut mask) = (Vec::new(), Vec::new(), None);
        for part in parts {
            match part.field() {
                "image" | "images" => {
                    let path = format!("image[{}]", images.len());
                    images.push(part.source(&path)?);
                }
                "mask" if mask.is_some() => return Err(twice("mask")),
                "mask" => mask = Some(part.source("mask")?),
                name if KNOWN.contains(&name) && fields.iter().any(|(known, _)| *known == name) => {
                    return Err(twice(name));
                }
                name => fields.push((name, part.text(name)?)),
            }
        }
        Self::read(task, &Fields::Form(fields), images, mask, "image")
    }
}

/// Refuses a repeated field: one of its values would be dropped silently.
fn twice(name: &str) -> Fault {
    Fault::invalid(name, format!("'{name}' is sent twice"))
}

impl FormPart {
    /// The name without brackets.
    fn field(&self) -> &str {
        self.name.split('[').next().unwrap_or_default()
    }

    fn text(&self, name: &str) -> Result<&str, Fault> {
        if self.is_file {
            return Err(Fault::invalid(name, format!("'{name}' must be a text, but is a file")));
        }
        std::str::from_utf8(&self.bytes).map_err(|_| Fault::invalid(name, format!("'{name}' is not UTF-8")))
    }

    fn source(&self, path: &str) -> Result<ImageSource<'_>, Fault> {
        let wrong = |reason: &str| Fault::invalid(path, format!("'{path}' {reason}"));
        if self.bytes.is_empty() {
            return Err(wrong("is an empty file"));
        }
        // The type that the client gives is often application/octet-stream, or wrong.
        let media_type = media_type(&self.bytes).ok_or_else(|| wrong("is no PNG, JPEG, WebP or GIF image"))?;
        Ok(ImageSource::File { media_type, bytes: &self.bytes })
    }
}
