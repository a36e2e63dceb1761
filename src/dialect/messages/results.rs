//! Web searches in an answer: their queries, the pages found, and the citations of those.
//!
//! * The backend names the sources of a search only on request, and otherwise only the pages that its text cites.
//! * The API has fields for the page's text and age, which the backend does not tell: they stay empty rather than be
//!   invented.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::blocks::{Block, Piece, Target};
use crate::backend::answer::sink::SearchCall;
use crate::json::{ArrayWriter, ObjectWriter, escape};

/// A finished search.
#[derive(Debug)]
pub(super) struct Search {
    id: String,
    /// Whether it is a search and not a look into a page.
    pub(super) is_search: bool,
    /// The query, or the page, as JSON.
    input: String,
    /// The addresses that the backend names.
    sources: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: Option<String>,
    query: Option<String>,
    #[serde(default)]
    queries: Vec<String>,
    url: Option<String>,
    pattern: Option<String>,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    url: Option<String>,
}

impl Search {
    /// Reads a search, the `number`th of its answer.
    pub(super) fn read(search: SearchCall<'_>, number: u64) -> Self {
        let action =
            search.action.and_then(|action| serde_json::from_str::<Action>(action.get()).ok()).unwrap_or_default();
        let id = search.id.map(|id| id.decode().into_owned());
        let id = id.map_or_else(|| number.to_string(), |id| id.strip_prefix("ws_").map_or(id.clone(), str::to_owned));
        let mut input = Vec::new();
        let mut object = ObjectWriter::begin(&mut input);
        let query = action.query.or_else(|| (!action.queries.is_empty()).then(|| action.queries.join(", ")));
        for (key, value) in [("query", query), ("url", action.url), ("pattern", action.pattern)] {
            if let Some(value) = value {
                object.string(key, &value);
            }
        }
        object.end();
        Self {
            id: format!("srvtoolu_{id}"),
            is_search: action.kind.is_none_or(|kind| kind == "search"),
            input: String::from_utf8(input).unwrap_or_default(),
            sources: action.sources.into_iter().filter_map(|source| source.url).collect(),
        }
    }

    /// Writes the search and its results: the sources it names, else the pages that the text cites.
    pub(super) fn write(&self, found: Option<&Found>, target: &mut impl Target) {
        target.begin(Block::Search { id: &self.id });
        target.piece(Piece::Input(&escape(&self.input)));
        target.end();
        let mut json = Vec::new();
        let mut results = ArrayWriter::begin(&mut json);
        let nothing = Found::default();
        let cited = found.unwrap_or(&nothing);
        if self.sources.is_empty() {
            for page in &cited.0 {
                write_result(&page.url, page.title.as_deref(), results.object());
            }
        } else {
            for url in &self.sources {
                let title = cited.0.iter().find(|page| page.url == *url).and_then(|page| page.title.as_deref());
                write_result(url, title, results.object());
            }
        }
        results.end();
        let results = String::from_utf8(json).unwrap_or_default();
        target.begin(Block::Results { id: &self.id, results: &results });
        target.end();
    }
}

fn write_result(url: &str, title: Option<&str>, mut result: ObjectWriter<'_>) {
    result.string("type", "web_search_result").string("title", title.unwrap_or(url)).string("url", url);
    result.string("encrypted_content", "").json("page_age", "null");
    result.end();
}

/// The pages that the answer's text cites, each once.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Page>);

#[derive(Debug)]
struct Page {
    url: String,
    title: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    title: Option<String>,
    start_index: Option<usize>,
    end_index: Option<usize>,
}

impl Found {
    /// Records a citation, in the backend's form.
    pub(super) fn add(&mut self, annotation: &RawValue) {
        let Some(Annotation { url: Some(url), title, .. }) = read(annotation) else { return };
        if self.0.iter().all(|page| page.url != url) {
            self.0.push(Page { url, title });
        }
    }
}

fn read(annotation: &RawValue) -> Option<Annotation> {
    serde_json::from_str::<Annotation>(annotation.get()).ok().filter(|annotation| annotation.kind == "url_citation")
}

/// Returns the citation in the API's form, with a quotation from `text`, the cited block.
pub(super) fn citation(annotation: &RawValue, text: &str) -> Option<String> {
    let Annotation { url: Some(url), title, start_index, end_index, .. } = read(annotation)? else { return None };
    let (start, end) = (start_index.unwrap_or_default(), end_index.unwrap_or_default());
    let quoted: String = text.chars().skip(start).take(end.saturating_sub(start)).collect();
    let mut json = Vec::new();
    let mut citation = ObjectWriter::begin(&mut json);
    citation.string("type", "web_search_result_location").string("url", &url);
    match title {
        Some(title) => citation.string("title", &title),
        None => citation.json("title", "null"),
    };
    citation.string("encrypted_index", "").string("cited_text", &quoted);
    citation.end();
    String::from_utf8(json).ok()
}
