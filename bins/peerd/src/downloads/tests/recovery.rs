//! Rows whose worker was lost while the service runs.

use super::*;

#[tokio::test]
async fn a_whole_row_in_line_for_a_permit_is_taken_back_once_however_long_it_waits() {
    let service = Service::start_with("max_concurrent = 1").await;
    let (shared, registry) = (Arc::clone(&service.downloads.shared), service.downloads.registry());
    // The scheduler, the watch over leases and the upkeep rest; nobody tells them of the row.
    service.clock.wait_for_sleepers(3).await;
    let permit = shared.permits.acquire(0).await;
    let id = service.sealed().await;
    service.clock.advance(LEASE);
    let mut lease = None;
    for _ in 0..6 {
        let row = service.moving_until(id, |row| row.lease != lease).await;
        lease = row.lease;
        assert!(shared.permits.waiting() <= 1, "one worker is enough");
    }
    let transitions = registry.transitions(id, 100).await.unwrap();
    let expired = transitions.iter().filter(|transition| transition.event == "lease_expired").count();
    assert_eq!(expired, 1, "{transitions:#?}");
    drop(permit);
    service.until(id, DownloadState::Completed).await;
}

#[tokio::test]
async fn a_service_that_stops_does_not_wait_for_a_permit_nobody_gives_back() {
    let service = Service::start_with("max_concurrent = 1").await;
    let shared = Arc::clone(&service.downloads.shared);
    service.clock.wait_for_sleepers(3).await;
    let _permit = shared.permits.acquire(0).await;
    let id = service.sealed().await;
    service.clock.advance(LEASE);
    while shared.permits.waiting() == 0 {
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    service.downloads.stop(Duration::from_secs(3600)).await;
    assert_eq!(shared.permits.waiting(), 0);
    service.until(id, DownloadState::Finalizing).await;
}
