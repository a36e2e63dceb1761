//! The parameter `stop`.

use serde_json::value::RawValue;

use crate::dialect::check_stop;
use crate::fault::Fault;
use crate::json;
use crate::json::Path;

/// Reads the sequences in `value`: one string, or an array of up to four.
///
/// Errors are worded like OpenAI's: 400 for another type, for no sequence, for an empty one and for too many.
pub(super) fn parse(value: &RawValue, path: &Path<'_>) -> Result<Vec<String>, Fault> {
    match json::kind(value) {
        "a string" => Ok(vec![sequence(value, path)?]),
        "an array" => {
            let elements = json::array(value, path)?;
            match elements.len() {
                0 => {
                    let message = format!(
                        "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array \
                         instead."
                    );
                    return Err(Fault::invalid(path.to_string(), message).with_code("empty_array"));
                }
                length if length > MOST => {
                    let message = format!(
                        "Invalid '{path}': array too long. Expected an array with maximum length {MOST}, but got an array \
                         with length {length} instead."
                    );
                    return Err(Fault::invalid(path.to_string(), message).with_code("array_above_max_length"));
                }
                _ => {}
            }
            let sequences = elements.into_iter().enumerate();
            sequences.map(|(index, element)| sequence(element, &path.index(index))).collect()
        }
        other => {
            let message = format!(
                "Invalid type for '{path}': expected one of a string or array of strings, but got {other} instead."
            );
            Err(Fault::invalid(path.to_string(), message).with_code("invalid_type"))
        }
    }
}

fn sequence(value: &RawValue, path: &Path<'_>) -> Result<String, Fault> {
    if json::kind(value) != "a string" {
        let message = format!("Invalid type for '{path}': expected a string, but got {} instead.", json::kind(value));
        return Err(Fault::invalid(path.to_string(), message).with_code("invalid_type"));
    }
    let sequence = json::string(value, path)?.into_owned();
    check_stop(&sequence, path)?;
    if sequence.is_empty() {
        let message = format!(
            "Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead."
        );
        return Err(Fault::invalid(path.to_string(), message).with_code("empty_string"));
    }
    Ok(sequence)
}

/// The maximum number of sequences in a request.
const MOST: usize = 4;
