//! The parts of a form, `multipart/form-data`, whose body has been read whole.
//!
//! * The parts are slices of one copy of the body.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::HeaderValue;

use crate::dialect::images::form::FormPart;
use crate::fault::{Fault, FaultKind};

/// Returns the boundary of a form; `None` for a body of another type. The error is a form without one.
pub(super) fn boundary(content_type: Option<&HeaderValue>) -> Result<Option<String>, Fault> {
    let Some(content_type) = content_type.and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    multer::parse_boundary(content_type).map(Some).map_err(|error| broken(&error))
}

/// Reads the parts of `body`.
pub(super) fn parts(boundary: String, body: Bytes) -> Result<Vec<FormPart>, Fault> {
    // The body is there, so that nothing has to be awaited.
    let read = read(boundary, body).now_or_never();
    read.unwrap_or_else(|| Err(Fault::new(FaultKind::Internal, "the form was not read at once")))
}

async fn read(boundary: String, body: Bytes) -> Result<Vec<FormPart>, Fault> {
    let body = stream::once(async move { Ok::<_, Infallible>(body) });
    let mut form = multer::Multipart::new(body, boundary);
    let mut parts = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error))? {
        if parts.len() == MOST_PARTS {
            let message = format!("the form has more than {MOST_PARTS} parts");
            return Err(Fault::new(FaultKind::InvalidRequest, message));
        }
        let Some(name) = field.name().filter(|name| !name.is_empty()).map(str::to_owned) else {
            return Err(Fault::new(FaultKind::InvalidRequest, "the form has a part without a name"));
        };
        let is_file = field.file_name().is_some();
        let mut bytes = Bytes::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
            bytes = if bytes.is_empty() { chunk } else { [bytes, chunk].concat().into() };
        }
        parts.push(FormPart { name, is_file, bytes });
    }
    Ok(parts)
}

fn broken(error: &multer::Error) -> Fault {
    Fault::new(FaultKind::InvalidRequest, format!("the request body is no valid multipart/form-data: {error}"))
}

/// More than the API has fields.
const MOST_PARTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<FormPart>, Fault> {
        parts("x".to_owned(), text.replace('\n', "\r\n").into())
    }

    #[test]
    fn fields_and_files_are_told_apart_and_kept_as_they_are() {
        let form = "--x\nContent-Disposition: form-data; name=\"prompt\"\n\n a \n--x\n\
                    Content-Disposition: form-data; name=\"image[]\"; filename=\"a.png\"\nContent-Type: image/png\n\n\
                    --xy\n\n--x--\n";
        let parts = read(form).unwrap();
        let told: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.is_file, &part.bytes[..])).collect();
        assert_eq!(told, [("prompt", false, &b" a "[..]), ("image[]", true, b"--xy\r\n")]);
    }

    #[test]
    fn a_broken_form_is_the_clients_fault() {
        let part = "--x\nContent-Disposition: form-data; name=\"a\"\n\nb\n";
        let nameless = [("; name=\"a\"", ""), ("\"a\"", "\"\"")]
            .map(|(name, none)| format!("{}--x--\n", part.replace(name, none)));
        for form in
            ["", "{}", "--x\n", part, &nameless[0], &nameless[1], &format!("{}--x--\n", part.repeat(MOST_PARTS + 1))]
        {
            assert_eq!(read(form).unwrap_err().kind, FaultKind::InvalidRequest, "{form:?}");
        }
        assert_eq!(read(&format!("{}--x--\n", part.repeat(MOST_PARTS))).unwrap().len(), MOST_PARTS);
    }

    #[test]
    fn only_a_form_has_a_boundary() {
        let boundary = |text: &'static str| boundary(Some(&HeaderValue::from_static(text)));
        assert_eq!(boundary("Multipart/Form-Data; boundary=\"a b\"").unwrap().as_deref(), Some("a b"));
        assert_eq!(boundary("application/json").unwrap(), None);
        assert!(boundary("multipart/form-data").is_err());
    }
}
