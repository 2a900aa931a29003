//! What is forgotten, and when.

use super::*;

/// A row called off now.
async fn called_off(service: &Service, name: &str) -> DownloadId {
    let registry = service.downloads.registry();
    let new = NewDownload { url: format!("http://bob/{name}"), paused: true, ..NewDownload::default() };
    let id = registry.enqueue(&new, service.downloads.shared.now()).await.unwrap().id;
    registry.cancel(id, service.downloads.shared.now()).await.unwrap();
    id
}

/// What upkeep does when so many days have gone by.
async fn look_back_after(service: &Service, days: u64) {
    let shared = &service.downloads.shared;
    let then = shared.now().saturating_add(Duration::from_secs(days * 24 * 3600));
    let look = super::super::upkeep::forget_the_past(shared, then);
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("an end").unwrap();
}

impl Service {
    async fn is_known(&self, id: DownloadId) -> bool {
        self.downloads.registry().get(id).await.unwrap().is_some()
    }

    /// Lets so many days go by, one by one.
    async fn live_for(&self, days: u64) {
        for _ in 0..days {
            self.clock.advance(Duration::from_secs(24 * 3600));
            TokioClock.sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn rows_that_were_over_long_ago_are_forgotten_and_their_files_stay() {
    let service = Service::start().await;
    let published = service.enqueue().await;
    service.downloads.shared.wake.notify_one();
    service.until(published, DownloadState::Completed).await;
    let mut old = vec![published];
    for n in 0..450 {
        old.push(called_off(&service, &n.to_string()).await);
    }
    let live = NewDownload { url: "http://bob/live".into(), paused: true, ..NewDownload::default() };
    let now = service.downloads.shared.now();
    let live = service.downloads.registry().enqueue(&live, now).await.unwrap().id;
    service.live_for(89).await;
    let young = called_off(&service, "young").await;
    assert!(service.is_known(published).await, "not yet");
    let gone = async || {
        for id in &old {
            if service.is_known(*id).await {
                return false;
            }
        }
        true
    };
    for _ in 0..600 {
        if gone().await {
            break;
        }
        service.live_for(1).await;
        TokioClock.sleep(Duration::from_millis(10)).await;
    }
    assert!(gone().await, "every one of them, not only the first bite");
    assert!(service.is_known(live).await && service.is_known(young).await);
    assert!(service.dir.path().join("state/completed/m").exists(), "the file is not ours to forget");
}

#[tokio::test]
async fn as_many_old_rows_as_fill_the_last_bite_are_no_reason_to_look_for_ever() {
    for rows in [200, 400] {
        let service = Service::start().await;
        let mut last = None;
        for n in 0..rows {
            last = Some(called_off(&service, &n.to_string()).await);
        }
        look_back_after(&service, 91).await;
        assert!(!service.is_known(last.unwrap()).await, "{rows}");
    }
}

#[tokio::test]
async fn a_file_nobody_is_to_import_is_forgotten_and_one_an_importer_has_yet_to_answer_for_is_not() {
    let service = Service::start().await;
    let mut rows = Vec::new();
    for import in [None, Some(crate::config::NO_IMPORTER), Some("radarr")] {
        let id = service.enqueue_for(import).await;
        service.downloads.shared.wake.notify_one();
        service.until(id, DownloadState::Completed).await;
        std::fs::remove_file(service.dir.path().join("state/completed/m")).unwrap();
        rows.push((id, import));
    }
    look_back_after(&service, 91).await;
    for (id, import) in rows {
        assert_eq!(service.is_known(id).await, import == Some("radarr"), "{import:?}");
    }
}

#[tokio::test]
async fn with_a_history_of_zero_nothing_is_ever_forgotten() {
    let service = Service::start_with("keep_history = \"0s\"").await;
    let id = called_off(&service, "old").await;
    look_back_after(&service, 10_000).await;
    assert!(service.is_known(id).await);
}
