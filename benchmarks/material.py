"""The files that are moved: random bytes, in the page cache or, where asked, verifiably not."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
from pathlib import Path

from cases import MIB
from failures import CaseFailed


def random_file(path: Path, size: int) -> Path:
    """Makes a file of random bytes that is on disk and in the page cache."""
    with path.open("xb") as file:
        for offset in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - offset)))
        file.flush()
        os.fsync(file.fileno())
    return path


def digest(path: Path) -> str:
    """SHA-256, and thereby every page of it in the cache."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evict(path: Path) -> None:
    """Drops the file from the page cache; raises CaseFailed when more than a hundredth of it stays."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    held = resident(path)
    if held > 0.01:
        raise CaseFailed(f"{held:.0%} of {path} stays in the page cache")


def resident(path: Path) -> float:
    """The share of the file's pages in the page cache, by mincore(2)."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    # A mapping that may be written to is one ctypes hands out the address of; it is private, and nothing is written.
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE) as mapping:
        view = ctypes.c_char.from_buffer(mapping)
        states = (ctypes.c_ubyte * pages)()
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), states)
        del view
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
    return sum(state & 1 for state in states) / pages
