//! Walks a share and writes down what it offers.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::beneath::Root;
use super::filter::Filter;
use super::index::{Entry, Index};

/// Walks everything beneath `root` and returns what `filter` offers.
///
/// Links are left out unless the root follows them, and then lead only beneath it. What cannot be read is
/// counted and left out. Blocks; belongs on a thread that may.
///
/// # Errors
/// The root itself cannot be read.
pub(super) fn scan(root: &Root, filter: &Filter, follow_links: bool) -> io::Result<Index> {
    let mut walk = Walk {
        root,
        filter,
        follow_links,
        above: Vec::new(),
        links: Vec::new(),
        entries: Vec::new(),
        unreadable: 0,
    };
    walk.directory(root.entries()?, &mut Vec::new())?;
    walk.links();
    Ok(Index::new(walk.entries, walk.unreadable))
}

struct Walk<'a> {
    root: &'a Root,
    filter: &'a Filter,
    follow_links: bool,
    /// The directories we are in, outermost first: a link back to one of them would never end.
    above: Vec<Identity>,
    /// Links met on the way, each with what was above it.
    links: Vec<(Vec<u8>, Vec<Identity>)>,
    entries: Vec<Entry>,
    unreadable: usize,
}

/// Device and inode: the same directory under whatever name.
type Identity = (u64, u64);

impl Walk<'_> {
    /// Follows links after everything else, in the order of their paths, each directory once: what is offered
    /// does not depend on the order in which the file system lists, and links that cross each other end.
    fn links(&mut self) {
        let mut followed = HashSet::new();
        while !self.links.is_empty() {
            let mut links = std::mem::take(&mut self.links);
            links.sort_unstable();
            for (mut path, above) in links {
                self.above = above;
                let walked = self.link(&mut path, &mut followed);
                self.count(walked);
            }
        }
    }

    fn link(&mut self, path: &mut Vec<u8>, followed: &mut HashSet<Identity>) -> io::Result<()> {
        let metadata = self.root.look(path)?;
        if metadata.is_file() {
            self.offer(path, metadata.len());
        }
        let identity = (metadata.dev(), metadata.ino());
        if metadata.is_dir() && !self.above.contains(&identity) && followed.insert(identity) {
            let directory = self.root.open_directory(path)?;
            self.directory(directory, path)?;
        }
        Ok(())
    }

    fn directory(&mut self, directory: OwnedFd, path: &mut Vec<u8>) -> io::Result<()> {
        let directory = File::from(directory);
        let metadata = directory.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        if self.above.contains(&identity) || self.above.len() >= MAX_DEPTH {
            return Ok(());
        }
        self.above.push(identity);
        let walked = self.entries(&directory, path);
        self.above.pop();
        walked
    }

    fn entries(&mut self, directory: &File, path: &mut Vec<u8>) -> io::Result<()> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let walked = self.entry(directory, entry.file_type(), name, path);
            self.count(walked);
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, directory: &File, kind: FileType, name: &[u8], path: &mut Vec<u8>) -> io::Result<()> {
        let kind = match kind {
            FileType::Unknown | FileType::RegularFile => {
                let stat = statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind == FileType::RegularFile {
                    self.offer(path, u64::try_from(stat.st_size).unwrap_or(0));
                    return Ok(());
                }
                kind
            }
            kind => kind,
        };
        match kind {
            FileType::Directory if self.filter.enters(path) => {
                let below = self.root.open_directory(path)?;
                self.directory(below, path)
            }
            FileType::Symlink if self.follow_links && self.filter.enters(path) => {
                self.links.push((path.clone(), self.above.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts what could not be read. Gone between listing and looking is no fault, and neither is a link to
    /// nowhere.
    fn count(&mut self, walked: io::Result<()>) {
        self.unreadable += usize::from(walked.is_err_and(|error| error.kind() != io::ErrorKind::NotFound));
    }

    fn offer(&mut self, path: &[u8], size: u64) {
        if self.filter.offers(path) {
            self.entries.push(Entry::new(path, size));
        }
    }
}

/// Directories within directories; each one on the way is held open.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn names(share: &Path, follow_links: bool) -> Vec<String> {
        let filter = Filter::new(&["**".to_owned()], &["**/.*".to_owned(), "**/*.part".to_owned()])
            .expect("the default patterns");
        let root = Root::open(share, follow_links).expect("the share opens");
        let index = scan(&root, &filter, follow_links).expect("the share can be read");
        index.entries().iter().map(|entry| String::from_utf8_lossy(entry.path()).into_owned()).collect()
    }

    #[test]
    fn regular_files_are_found_in_the_order_of_their_paths() {
        let share = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(share.path().join("b/c")).expect("directories");
        for name in ["z", "b/x", "b/c/y", "a", ".hidden", "b/half.part"] {
            fs::write(share.path().join(name), name).expect("a file");
        }
        fs::create_dir(share.path().join(".git")).expect("a directory");
        fs::write(share.path().join(".git/config"), "hidden").expect("a file");
        assert_eq!(names(share.path(), false), ["a", "b/c/y", "b/x", "z"]);
    }

    #[test]
    fn links_are_left_out_unless_followed_and_then_stay_beneath() {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let share = outside.path().join("share");
        fs::create_dir_all(share.join("real")).expect("directories");
        fs::write(share.join("real/file"), "x").expect("a file");
        fs::write(outside.path().join("secret"), "x").expect("a file");
        for (target, link) in [
            ("real/file", "link"),
            ("real", "linked"),
            ("../secret", "out"),
            ("..", "real/up"),
            (".", "self"),
        ] {
            symlink(target, share.join(link)).expect("a link");
        }
        assert_eq!(names(&share, false), ["real/file"]);
        assert_eq!(names(&share, true), ["link", "linked/file", "real/file"], "and the loops end");
    }

    #[test]
    fn links_that_cross_each_other_end_soon() {
        let share = tempfile::tempdir().expect("a temporary directory");
        let rooms = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        for room in rooms {
            fs::create_dir(share.path().join(room)).expect("a directory");
            fs::write(share.path().join(room).join("file"), "x").expect("a file");
        }
        for (from, to) in rooms.iter().flat_map(|from| rooms.iter().map(move |to| (from, to))) {
            symlink(format!("../{to}"), share.path().join(from).join(format!("to-{to}"))).expect("a link");
        }
        let names = names(share.path(), true);
        assert_eq!(names.len(), 2 * rooms.len(), "each room by its own name and by one link");
        assert!(names.contains(&"b/to-a/file".to_owned()), "the first link by path");
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_the_rest_is_found() {
        use std::os::unix::fs::PermissionsExt;

        let share = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(share.path().join("closed")).expect("a directory");
        fs::write(share.path().join("closed/in"), "x").expect("a file");
        fs::write(share.path().join("open"), "x").expect("a file");
        let closed = share.path().join("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("closed");
        // Whoever may read everything reads this too.
        let may_read_all = fs::read_dir(&closed).is_ok();
        let filter = Filter::new(&["**".to_owned()], &[]).expect("a pattern");
        let root = Root::open(share.path(), false).expect("the share opens");
        let index = scan(&root, &filter, false).expect("the share can be read");
        assert_eq!((index.entries().len(), index.unreadable()), if may_read_all { (2, 0) } else { (1, 1) });
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("open again");
    }

    #[test]
    fn names_that_are_not_utf_8_and_special_files_do_no_harm() {
        let share = tempfile::tempdir().expect("a temporary directory");
        let odd = share.path().join(OsStr::from_bytes(b"odd-\xff.bin"));
        // Some file systems refuse such names; then there is nothing to find.
        let written = fs::write(odd, "x").is_ok();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            share.path().join("pipe"),
            FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        assert_eq!(names(share.path(), true).len(), usize::from(written));
    }
}
