//! What a peer offers: its list, page by page, checked before anybody sees it.
//!
//! A peer of the original system has no such list; its catalogue, which comes in one piece, stands in for it.

use std::fmt;

use http::StatusCode;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::asking::AskError;
use super::{Peer, Peers};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct OfferQuery {
    /// Words that must all occur.
    pub search: Option<String>,
    /// Only this share.
    pub share: Option<String>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most items in the page.
    pub limit: usize,
}

/// A page of what a peer offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// In the peer's order.
    pub items: Vec<OfferedItem>,
    /// Handed back as `cursor` for the next page.
    pub next: Option<String>,
}

/// One item as its peer describes it. Texts are bounded and hold no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedItem {
    /// What to ask for.
    pub id: String,
    /// What people call it.
    pub title: Option<String>,
    /// The name of the file.
    pub filename: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// When it was last changed, as the peer writes it.
    pub modified: Option<String>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// The share it is in.
    pub share: Option<String>,
}

impl OfferQuery {
    fn fields(&self, limit: usize) -> String {
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.append_pair("limit", &limit.to_string());
        for (name, value) in [("q", &self.search), ("share", &self.share), ("cursor", &self.cursor)] {
            if let Some(value) = value {
                fields.append_pair(name, value);
            }
        }
        fields.finish()
    }
}

impl Peers {
    /// Asks a peer for a page of what it offers.
    ///
    /// # Errors
    /// [`AskError`] when it gives no list.
    ///
    /// # Cancel safety
    /// Safe. Nothing is changed.
    pub async fn offer(&self, peer: &Peer, query: &OfferQuery) -> Result<Offer, AskError> {
        let limit = query.limit.clamp(1, MAX_ITEMS);
        let path = format!("peer/items?{}", query.fields(limit));
        match self.shared.document(peer, &path, MAX_LIST).await {
            Ok(reply) => page(&reply.body, query.cursor.as_deref(), MAX_LISTED),
            Err(AskError::Status { status: StatusCode::NOT_FOUND, .. }) => {
                let _turn = self.shared.catalogue.lock().await;
                let catalogue = self.shared.document(peer, "peer/search", MAX_CATALOGUE).await?;
                Ok(narrowed(page(&catalogue.body, None, MAX_LISTED)?, query, limit))
            }
            Err(error) => Err(error),
        }
    }
}

/// What a page is made of, as it stands in the text: nothing of it is read before its length is known, and what nobody
/// asked for not at all.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    next: Option<&'a RawValue>,
}

/// Reads a page, and keeps at most `max` items of it.
fn page(body: &[u8], asked: Option<&str>, max: usize) -> Result<Offer, AskError> {
    let page: Page<'_> =
        serde_json::from_slice(body).map_err(|_| AskError::Malformed("it is no JSON object"))?;
    let items = page.items.and_then(|items| {
        let mut list = serde_json::Deserializer::from_str(items.get());
        list.deserialize_seq(Items { max }).ok()
    });
    let items = items.ok_or(AskError::Malformed("it holds no list of items"))?;
    let next = match page.next.map(RawValue::get) {
        None => None,
        Some(next) if next.len() > MAX_CURSOR => return Err(AskError::Malformed("its cursor is too long")),
        Some(next) => serde_json::from_str::<Option<String>>(next)
            .map_err(|_| AskError::Malformed("its cursor is no text"))?,
    };
    // The same page again would go on for ever.
    let next = next.filter(|next| !next.is_empty() && asked != Some(next));
    Ok(Offer { items, next })
}

/// Reads items one by one, and passes over what is none, is longer than any item, or comes after `max` of them.
struct Items {
    max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<OfferedItem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.max {
            let Some(element) = list.next_element::<&RawValue>()? else { return Ok(items) };
            if element.get().len() <= MAX_ITEM {
                let fields: Option<Map<String, Value>> = serde_json::from_str(element.get()).ok();
                items.extend(fields.and_then(|fields| item(&fields)));
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

/// An item that could be asked for; `None` otherwise.
fn item(fields: &Map<String, Value>) -> Option<OfferedItem> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(clean);
    let id = fields.get("id")?.as_str()?;
    let usable =
        !id.is_empty() && id.len() <= MAX_TEXT && !id.chars().any(is_odd) && !matches!(id, "." | "..");
    usable.then(|| OfferedItem {
        id: id.to_owned(),
        title: text("title"),
        filename: text("filename"),
        size: fields.get("size").and_then(Value::as_u64),
        modified: text("modified"),
        etag: text("etag"),
        share: text("share"),
    })
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_odd(*c)).take(MAX_TEXT).collect()
}

/// Whether a character could steer a terminal, end a line, or turn the text around it.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Does what a peer without a search and pages of its own leaves to us; its cursor is the number of items before.
fn narrowed(mut offer: Offer, query: &OfferQuery, limit: usize) -> Offer {
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let words: Vec<_> = search.split_whitespace().collect();
    offer.items.retain(|item| {
        let of = |text: &Option<String>| text.as_deref().unwrap_or_default().to_lowercase();
        let (title, filename) = (of(&item.title), of(&item.filename));
        words.iter().all(|word| title.contains(word) || filename.contains(word))
    });
    let before: usize = query.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
    let end = before.saturating_add(limit);
    let next = (end < offer.items.len()).then(|| end.to_string());
    let items = offer.items.into_iter().skip(before).take(limit).collect();
    Offer { items, next }
}

/// Items asked for at once.
const MAX_ITEMS: usize = 1000;
/// Bytes of one page, and of a whole catalogue.
const MAX_LIST: usize = 4 << 20;
const MAX_CATALOGUE: usize = 32 << 20;
/// Items kept of one answer, however many it holds.
const MAX_LISTED: usize = 100_000;
/// Bytes of one item, and of a cursor, as they stand in the answer.
const MAX_ITEM: usize = 64 << 10;
const MAX_CURSOR: usize = 4096;
/// Characters of a text shown; bytes of an id.
const MAX_TEXT: usize = 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value, asked: Option<&str>) -> Result<Offer, String> {
        page(document.to_string().as_bytes(), asked, 10).map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_could_be_asked_for_is_passed_on_and_only_what_could_be_shown() {
        let offer = read(
            &json!({ "items": [
                { "id": "films:a", "title": "A\u{1b}[2J film\u{202e}\u{2028}", "filename": "a.mkv", "size": 7, "more": [1] },
                { "id": "b", "size": -1, "title": 5 },
                { "id": "" }, { "id": ".." }, { "id": "x\ny" }, { "id": 5 }, "no object", { "id": "x".repeat(2000) },
            ], "next": "c2" }),
            Some("c1"),
        );
        let offer = offer.unwrap();
        let ids: Vec<_> = offer.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["films:a", "b"]);
        assert_eq!(offer.items[0].title.as_deref(), Some("A[2J film"));
        assert_eq!((offer.items[0].size, offer.items[1].size, &offer.items[1].title), (Some(7), None, &None));
        assert_eq!(offer.next.as_deref(), Some("c2"));
    }

    #[test]
    fn a_list_that_never_ends_or_is_none_is_refused() {
        assert_eq!(read(&json!({ "items": [], "next": "c1" }), Some("c1")).unwrap().next, None);
        for (document, because) in [
            (json!({}), "no list"),
            (json!([1]), "no object"),
            (json!({ "items": {} }), "no list"),
            (json!({ "items": [], "next": 7 }), "no text"),
            (json!({ "items": [], "next": "x".repeat(5000) }), "too long"),
        ] {
            assert!(read(&document, None).is_err(), "{because}");
        }
        assert!(page(b"<html>", None, 10).is_err());
    }

    #[test]
    fn a_list_of_rubbish_costs_no_more_than_its_text() {
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        let huge = format!(r#"{{"id":"huge","title":"{}"}}"#, "x".repeat(MAX_ITEM));
        let many = r#"{"id":"a","x":[{}]},"#.repeat(20);
        let text = format!(r#"{{"x":{deep},"items":[0,{huge},{deep},{many}{deep}],"next":"c"}}"#);
        let offer = page(text.as_bytes(), None, 10).unwrap();
        assert!(offer.items.len() == 10 && offer.items.iter().all(|item| item.id == "a"), "{offer:?}");
        assert_eq!(offer.next.as_deref(), Some("c"));
    }

    #[test]
    fn a_catalogue_is_searched_here() {
        let of = |id: &str, title: &str| json!({ "id": id, "title": title, "filename": format!("{id}.mkv") });
        let offer =
            read(&json!({ "items": [of("a", "Big Film"), of("b", "Small Film"), of("c", "Song")] }), None);
        let offer = offer.unwrap();
        let page = |search: &str, cursor: Option<&str>, limit| {
            let (search, cursor) = (Some(search.to_owned()), cursor.map(str::to_owned));
            let found =
                narrowed(offer.clone(), &OfferQuery { search, cursor, ..OfferQuery::default() }, limit);
            (found.items.into_iter().map(|item| item.id).collect::<String>(), found.next)
        };
        assert_eq!(page("FILM big", None, 10), ("a".to_owned(), None));
        assert_eq!(page("", None, 2), ("ab".to_owned(), Some("2".to_owned())));
        assert_eq!(page("", Some("2"), 2), ("c".to_owned(), None));
    }
}
