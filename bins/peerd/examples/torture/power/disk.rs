//! A disk that loses its power: a filesystem in an image, mounted where nobody else sees it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// What the daemon's files are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Filesystem {
    Ext4,
    Xfs,
}

/// A mounted filesystem of its own. Unmounted when dropped.
pub(crate) struct Disk {
    image: PathBuf,
    path: PathBuf,
}

/// Moves this process into a mount namespace of its own: another one could keep the dead filesystem alive. Returns why
/// power cuts cannot be had here, if so.
///
/// Starts the program over; to be called before there is anything to lose.
pub(crate) fn prepare(filesystem: Filesystem) -> anyhow::Result<Option<String>> {
    for (tool, package) in [
        ("unshare", "util-linux"),
        ("mount", "mount"),
        (filesystem.mkfs()[0], "e2fsprogs or xfsprogs"),
        ("xfs_io", "xfsprogs"),
    ] {
        if !is_there(tool) {
            return Ok(Some(format!("need {tool}, of the package {package}")));
        }
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("need root: a filesystem is mounted and cut off".to_owned()));
    }
    if std::env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let namespace = ["--mount", "--propagation", "private", "--"];
    if !quietly("unshare", namespace.into_iter().chain(["true"])).is_ok_and(|done| done) {
        return Ok(Some("need a mount namespace, and none can be made here".to_owned()));
    }
    let mut again = Command::new("unshare");
    again.args(namespace).arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    // Returns only when it could not be done.
    Err(again.exec()).context("cannot start over in a mount namespace")
}

impl Disk {
    /// Makes a filesystem of so many bytes and mounts it at `path`.
    pub(crate) fn make(
        filesystem: Filesystem,
        image: PathBuf,
        bytes: u64,
        path: PathBuf,
    ) -> anyhow::Result<Self> {
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .context("cannot make the image")?;
        let [mkfs, arguments @ ..] = filesystem.mkfs();
        run(mkfs, arguments.iter().map(Path::new).chain([image.as_path()]))?;
        let disk = Self { image, path };
        disk.mount()?;
        Ok(disk)
    }

    /// The power is gone: nothing that is not on the disk now will ever be.
    pub(crate) fn cut(&self) -> anyhow::Result<()> {
        // Without `-f`: the journal is not written out first.
        run("xfs_io", [Path::new("-x"), Path::new("-c"), Path::new("shutdown"), &self.path])
    }

    /// The power is back. Nobody may have a file open.
    pub(crate) fn come_back(&self) -> anyhow::Result<()> {
        run("umount", [&self.path])?;
        self.mount()
    }

    fn mount(&self) -> anyhow::Result<()> {
        run("mount", [Path::new("-o"), Path::new("loop"), &self.image, &self.path])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The namespace takes with it what stays; the directory can only go without.
        let _ = run("umount", [Path::new("--lazy"), &self.path]);
    }
}

impl Filesystem {
    fn mkfs(self) -> &'static [&'static str; 3] {
        match self {
            Self::Ext4 => &["mkfs.ext4", "-q", "-F"],
            Self::Xfs => &["mkfs.xfs", "-q", "-f"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "XFS",
        }
    }

    /// The smallest image it can be made in.
    pub(crate) fn smallest(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 320 << 20,
        }
    }
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}

fn quietly<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> std::io::Result<bool> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status()?.success())
}

fn run(program: &str, arguments: impl IntoIterator<Item = impl AsRef<Path>>) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program}: {}", said.trim());
    Ok(())
}

/// Set in the environment of the process that is in its namespace already.
const INSIDE: &str = "PEERD_TORTURE_INSIDE";
