//! The daemon and whoever started it: what it says over `NOTIFY_SOCKET`, the sockets it is handed, and the directories.

#[path = "service_manager/directories.rs"]
mod directories;
#[path = "service_manager/manager.rs"]
mod manager;
#[path = "service_manager/sockets.rs"]
mod sockets;
mod support;
#[path = "service_manager/words.rs"]
mod words;
