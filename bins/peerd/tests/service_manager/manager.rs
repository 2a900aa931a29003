//! A service manager that listens to its daemon and hands it sockets.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::process::Command;

use crate::support::Home;

/// Where the daemon says how it is.
pub(crate) struct Manager {
    socket: tokio::net::UnixDatagram,
    /// What `NOTIFY_SOCKET` says.
    pub(crate) address: OsString,
    /// Every line so far, in order.
    pub(crate) heard: Vec<String>,
}

impl Manager {
    /// One that listens at a path.
    pub(crate) fn at_path(home: &Home) -> Self {
        let path = home.path("notify");
        let address = SocketAddr::from_pathname(&path).expect("a short path");
        Self::bound(&address, path.into_os_string())
    }

    /// One that listens at a name in the abstract namespace.
    pub(crate) fn at_name(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        Self::bound(&address, format!("@{name}").into())
    }

    fn bound(address: &SocketAddr, variable: OsString) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let socket = tokio::net::UnixDatagram::from_std(socket).expect("a runtime");
        Self { socket, address: variable, heard: Vec::new() }
    }

    /// The command that runs the daemon of `home` under this manager.
    pub(crate) fn serve(&self, home: &Home) -> Command {
        let mut command = home.serve();
        command.env("NOTIFY_SOCKET", &self.address);
        command
    }

    /// Waits for a line that begins so, and returns the rest of it.
    pub(crate) async fn hears(&mut self, beginning: &str) -> String {
        self.hears_until(beginning, |_| true).await
    }

    /// Waits for a line that begins so and goes on as `enough` wants it.
    pub(crate) async fn hears_until(&mut self, beginning: &str, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let lines = self.next().await;
            let mut rests = lines.iter().filter_map(|line| line.strip_prefix(beginning));
            if let Some(rest) = rests.find(|rest| enough(rest)) {
                return rest.to_owned();
            }
        }
    }

    /// The lines of the next datagram.
    pub(crate) async fn next(&mut self) -> Vec<String> {
        let mut datagram = [0; 4096];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut datagram)).await;
        let received = received.unwrap_or_else(|_| panic!("silence after {:?}", self.heard));
        let text = std::str::from_utf8(&datagram[..received.expect("a datagram")]).expect("text");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        self.heard.extend(lines.iter().cloned());
        lines
    }

    /// Everything said until now, the daemon having ended.
    pub(crate) fn all(mut self) -> Vec<String> {
        let mut datagram = [0; 4096];
        while let Ok(bytes) = self.socket.try_recv(&mut datagram) {
            let text = String::from_utf8_lossy(&datagram[..bytes]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
        self.heard
    }
}

/// `command` with sockets handed in under these names, the way `sd_listen_fds(3)` has it. They are meant for `pid`;
/// `$$` is the daemon itself.
pub(crate) fn handing(command: &Command, sockets: Vec<(OwnedFd, &str)>, pid: &str) -> Command {
    let (daemon, mut shell) = (command.as_std(), std::process::Command::new("/bin/sh"));
    // The number of a process is known once it is there: the shell becomes the daemon.
    shell.args(["-c", &format!("LISTEN_PID={pid} exec \"$0\" \"$@\"")]);
    shell.arg(daemon.get_program()).args(daemon.get_args()).env_clear();
    shell.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = daemon.get_current_dir() {
        shell.current_dir(dir);
    }
    let names: Vec<&str> = sockets.iter().map(|(_, name)| *name).collect();
    shell.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    let mappings = (3..).zip(sockets).map(|(child_fd, (parent_fd, _))| FdMapping { parent_fd, child_fd });
    shell.fd_mappings(mappings.collect()).expect("different numbers");
    let mut command = Command::from(shell);
    command.kill_on_drop(true);
    command
}

const PATIENCE: Duration = Duration::from_secs(60);
