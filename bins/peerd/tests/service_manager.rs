//! The daemon and whoever started it: what it says over `NOTIFY_SOCKET`, and the sockets it is handed.

#[path = "service_manager/manager.rs"]
mod manager;
#[path = "service_manager/sockets.rs"]
mod sockets;
mod support;
#[path = "service_manager/words.rs"]
mod words;
