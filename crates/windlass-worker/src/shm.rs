//! Memory that this process and a worker both map: the one file with `unsafe`.
//!
//! A [`Region`] is an anonymous file, mapped for as long as the region lives. Nothing has a name, so
//! nothing is left over when a process is killed. All pages are there from the start, so that a full
//! file system is an error here and not a signal at the first touch; sealed, so that the other side
//! cannot cut the file short under us, nor write to an input.
//!
//! What is sound about reading memory that another process can write: bytes are read as bytes, and
//! arrays over them are validated when they are adopted. From then on the worker's runtime does not
//! touch an output slot that it has handed over, and user code never gets hold of one. A worker that
//! breaks this on purpose can change values; the project's owner runs their own code.

#![expect(unsafe_code, reason = "maps memory and makes Arrow buffers of it; each block says why it holds")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::RefUnwindSafe;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::buffer::Buffer;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl, posix_fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::ftruncate;

use crate::protocol::Direction;

/// What a region is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// An anonymous file, sealed.
    Memfd,
    /// A file without a name in `/dev/shm` or the folder for temporary files, where the kernel or a
    /// sandbox has no `memfd_create`. Not sealed.
    File,
}

/// Memory that both sides map.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: a region owns its mapping, which any thread may read, and which only `&mut self` writes.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Makes a region of `length` bytes, and the descriptor that the other side maps it by.
    pub(crate) fn create(length: usize, direction: Direction) -> io::Result<(Self, OwnedFd)> {
        match Self::create_in(Backing::Memfd, length, direction) {
            Err(err) if matches!(err.raw_os_error(), Some(nix::libc::ENOSYS | nix::libc::EPERM)) => {
                Self::create_in(Backing::File, length, direction)
            }
            other => other,
        }
    }

    /// Makes a region of a certain kind.
    pub(crate) fn create_in(backing: Backing, length: usize, direction: Direction) -> io::Result<(Self, OwnedFd)> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let size = nix::libc::off_t::try_from(length.get()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let file = match backing {
            Backing::Memfd => memfd_create(c"windlass", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?,
            Backing::File => unnamed_file()?.into(),
        };
        ftruncate(&file, size)?;
        allocate(&file, size)?;
        let protection = match direction {
            Direction::Input => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            Direction::Output => ProtFlags::PROT_READ,
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing, and the file is
        // as long as the mapping.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE, &file, 0)? };
        let region = Self { start: start.cast(), length };
        if backing == Backing::Memfd {
            seal(&file, direction)?;
        }
        Ok((region, file))
    }

    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.length.get()
    }

    /// Writes `parts` one after the other from the start. The region must be an input and long enough.
    pub(crate) fn write(&mut self, parts: &[Buffer]) {
        let total: usize = parts.iter().map(Buffer::len).sum();
        assert!(total <= self.len(), "the caller picks a region that its parts fit into");
        let mut offset = 0;
        for part in parts {
            // SAFETY: source and target are valid for `part.len()` bytes: all parts together fit, as
            // asserted. They do not overlap: a mapping of ours is no buffer of Arrow's unless lent,
            // and lent regions are outputs, which nobody writes here.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), self.start.as_ptr().add(offset), part.len()) };
            offset += part.len();
        }
    }

    /// Returns a copy of some bytes.
    pub(crate) fn copy(&self, span: Range<usize>) -> Option<Buffer> {
        self.check(&span)?;
        // SAFETY: the span lies within the mapping. The bytes are copied at once.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(span.start), span.len()) };
        Some(Buffer::from(bytes))
    }

    fn check(&self, span: &Range<usize>) -> Option<()> {
        (span.start <= span.end && span.end <= self.len()).then_some(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and buffers over it keep the region alive.
        let unmapped = unsafe { munmap(self.start.cast(), self.length.get()) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

/// Returns a buffer over some bytes of the region that `owner` holds, without a copy. `owner` lives
/// until the last array over the buffer is gone.
pub(crate) fn lend<O>(owner: Arc<O>, span: Range<usize>) -> Option<Buffer>
where
    O: AsRef<Region> + Send + Sync + RefUnwindSafe + 'static,
{
    let region: &Region = (*owner).as_ref();
    region.check(&span)?;
    // SAFETY: the span lies within the mapping, as checked.
    let start = unsafe { region.start.add(span.start) };
    // SAFETY: `start` is valid for `span.len()` bytes for as long as `owner` lives, since it owns the
    // region, and the buffer holds `owner`.
    Some(unsafe { Buffer::from_custom_allocation(start, span.len(), owner) })
}

/// Gets all pages now. Where the file system cannot promise pages, the first touch decides.
fn allocate(file: impl AsFd, size: nix::libc::off_t) -> io::Result<()> {
    loop {
        match posix_fallocate(&file, 0, size) {
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP | Errno::EINVAL) | Ok(()) => return Ok(()),
            Err(err) => return Err(err.into()),
        }
    }
}

fn seal(file: &OwnedFd, direction: Direction) -> io::Result<()> {
    let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    if direction == Direction::Input {
        // Ours is mapped already; nobody can map it for writing from now on. Kernels before 5.1 do not
        // know this seal: there, only the worker's read-only mapping protects the input.
        let _ = fcntl(file, FcntlArg::F_ADD_SEALS(fixed | SealFlag::F_SEAL_FUTURE_WRITE));
    }
    fcntl(file, FcntlArg::F_ADD_SEALS(fixed | SealFlag::F_SEAL_SEAL))?;
    Ok(())
}

/// Opens a file and takes its name away.
fn unnamed_file() -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("windlass-{}-{number}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests;
