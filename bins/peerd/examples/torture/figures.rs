//! Numbers for people.

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

pub(crate) fn bytes(bytes: Option<&u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if *bytes < 1 << 20 => format!("{bytes} B"),
        Some(bytes) => mib(*bytes),
    }
}
