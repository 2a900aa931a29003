//! Memory that has addresses and no content.
#![allow(unsafe_code, reason = "the one mapping; the argument is in the module above")]

use std::{ptr, slice};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Reserves `len` bytes of address space that can never be read, written or run; `None` if the system grants none.
///
/// It costs no memory and is never given back.
pub(super) fn reserve(len: usize) -> Option<&'static [u8]> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: without `FIXED` the kernel picks a place that nothing else uses, so no mapping is replaced.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), flags) }.ok()?;
    // SAFETY: the mapping is `len` bytes long, begins at a page, is never unmapped and never written, so the addresses
    // are valid and unchanging for good. They cannot be read: whoever tries is stopped by the processor. That is what
    // they are for, and why they leave this room only as the slice of a `Piece`.
    Some(unsafe { slice::from_raw_parts(start.cast_const().cast(), len) })
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn whoever_writes_it_out_is_told_of_a_fault_and_sends_nothing() {
        let region = reserve(1 << 20).expect("address space");
        let (mut here, there) = UnixStream::pair().expect("a pair");
        let fault = |result: std::io::Result<usize>| result.expect_err("unreadable").raw_os_error();
        assert_eq!(fault(here.write(&region[..1])), Some(rustix::io::Errno::FAULT.raw_os_error()));
        assert_eq!(fault(here.write_vectored(&[IoSlice::new(&region[9..99])])), Some(14));
        there.set_nonblocking(true).expect("a socket");
        let nothing = std::io::Read::read(&mut &there, &mut [0]).expect_err("no byte");
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
}
