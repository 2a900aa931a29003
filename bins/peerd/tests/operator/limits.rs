//! limits.

use serde_json::json;

use crate::support::{Home, MIB};

#[tokio::test]
async fn limits_are_printed_and_set_one_by_one() {
    let home = Home::new().with(json!({ "limits": { "up": "512KiB" } }));
    let daemon = home.start().await;
    let shown = daemon.cli(["limits"]).await.expect_code(0);
    assert_eq!(shown.stdout, "down  no limit\nup    512KiB/s\n");
    let set = daemon.cli(["limits", "set", "--down", "7MiB"]).await.expect_code(0);
    assert_eq!(set.stdout, "down  7MiB/s\nup    512KiB/s\n");
    let json = daemon.cli(["limits", "--json"]).await.expect_code(0).json();
    assert_eq!(json, json!({ "down": 7 * MIB, "up": 512 << 10 }));
    daemon.cli(["limits", "set", "--up", "0"]).await.expect_code(0);
    assert_eq!(daemon.cli(["limits"]).await.stdout, "down  7MiB/s\nup    no limit\n");
    daemon.cli(["limits", "set"]).await.expect_code(2);
    daemon.cli(["limits", "set", "--down", "7MB"]).await.expect_code(2);
}
