//! What a hook is told about one event.

use download_registry::{DownloadId, Registry};
use serde_json::{Map, Value};

/// An event on its way to a hook.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delivery {
    pub(super) event: String,
    /// The download it is about.
    pub(super) download: Option<i64>,
    /// The file it is about; empty if there is none.
    pub(super) path: String,
    /// The flat object of `--json`.
    document: Map<String, Value>,
}

impl Delivery {
    /// `number` is that of the event; one that is told again after a restart has none.
    pub(super) fn new(event: &str, number: Option<u64>, at: String, data: &Value) -> Self {
        let mut document = Map::new();
        document.insert("event".to_owned(), event.into());
        if let Some(number) = number {
            document.insert("id".to_owned(), number.into());
        }
        document.insert("at".to_owned(), at.into());
        if let Some(data) = data.as_object() {
            document.extend(data.clone());
        }
        let download = data.get("download_id").and_then(Value::as_i64);
        let ours = event == "download.completed";
        let path = data.get("path").and_then(Value::as_str).filter(|_| ours).unwrap_or_default().to_owned();
        Self { event: event.to_owned(), download, path, document }
    }

    /// Says that it is told again.
    pub(super) fn again(mut self) -> Self {
        self.document.insert("replayed".to_owned(), true.into());
        self
    }

    /// The path in an event of an import is the importer's: ours stands in the row.
    pub(super) async fn find_path(&mut self, registry: &Registry) {
        if !self.event.starts_with("import.") {
            return;
        }
        let Some(id) = self.download.map(DownloadId::new) else { return };
        if let Ok(Some(row)) = registry.get(id).await {
            self.path = row.target.unwrap_or_default();
        }
    }

    /// One line of JSON.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.document).unwrap_or_default()
    }

    /// Whether a later one says all this one does.
    pub(super) fn is_overtaken_by(&self, later: &Self) -> bool {
        self.event == "download.progress" && later.event == self.event && later.download == self.download
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hook_is_told_the_flat_object_of_the_event() {
        let data = json!({ "download_id": 7, "path": "/d/film.mkv", "total": 5 });
        let delivery =
            Delivery::new("download.completed", Some(12), "2024-05-01T00:00:00Z".to_owned(), &data);
        assert_eq!((delivery.download, delivery.path.as_str()), (Some(7), "/d/film.mkv"));
        let told: Value = serde_json::from_str(&delivery.text()).unwrap();
        let expected = json!({
            "event": "download.completed", "id": 12, "at": "2024-05-01T00:00:00Z", "download_id": 7,
            "path": "/d/film.mkv", "total": 5,
        });
        assert_eq!(told, expected);
        let again: Value = serde_json::from_str(&delivery.again().text()).unwrap();
        assert_eq!(again["replayed"], true);
    }

    #[test]
    fn the_path_of_an_importer_is_not_taken_for_ours() {
        let data = json!({ "download_id": 7, "path": "/mnt/theirs.mkv" });
        assert_eq!(Delivery::new("import.done", Some(1), String::new(), &data).path, "");
        assert_eq!(Delivery::new("disk.low", Some(1), String::new(), &json!({ "free": 1 })).download, None);
    }
}
