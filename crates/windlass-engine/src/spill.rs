//! Files for data that does not fit into memory: without a name, so that whatever ends the process ends
//! them too.
//!
//! DataFusion asks for a file when an operator spills. Nothing is made before that, and nothing is left
//! by a process that is killed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use futures::stream::try_unfold;

/// Bytes of one read. Small reads cost a change of threads each.
const READ_BYTES: usize = 128 << 10;

/// Makes files in a folder, which is made with the first of them.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    /// The folder.
    pub(crate) path: PathBuf,
}

/// A file without a name; gone with the last reference to it.
struct Nameless {
    file: Arc<File>,
    written: Arc<AtomicU64>,
}

struct Appending {
    file: Arc<File>,
    written: Arc<AtomicU64>,
}

impl TempFileFactory for SpillFolder {
    fn create_temp_file(&self, _description: &str) -> Result<Arc<dyn SpillFile>> {
        std::fs::create_dir_all(&self.path)?;
        let file = Arc::new(tempfile::tempfile_in(&self.path)?);
        Ok(Arc::new(Nameless { file, written: Arc::default() }))
    }
}

impl SpillFile for Nameless {
    fn size(&self) -> Option<u64> {
        Some(self.written.load(Ordering::Acquire))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let file = Arc::clone(&self.file);
        Ok(Box::pin(try_unfold((file, 0), |(file, offset)| async move {
            let chunk = read_chunk(Arc::clone(&file), offset).await?;
            let next = offset + chunk.len() as u64;
            Ok((!chunk.is_empty()).then_some((chunk, (file, next))))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Appending { file: Arc::clone(&self.file), written: Arc::clone(&self.written) }))
    }
}

/// Reads from an offset of its own: several may read a file at once.
async fn read_chunk(file: Arc<File>, offset: u64) -> Result<Bytes> {
    let read = move || {
        let mut chunk = vec![0; READ_BYTES];
        let length = loop {
            match file.read_at(&mut chunk, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        chunk.truncate(length);
        Ok(Bytes::from(chunk))
    };
    let chunk: io::Result<Bytes> = tokio::task::spawn_blocking(read).await.expect("reading a file does not panic");
    chunk.map_err(DataFusionError::IoError)
}

impl Write for Appending {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(data, self.written.load(Ordering::Acquire))?;
        self.written.fetch_add(data.len() as u64, Ordering::AcqRel);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Appending {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn content(file: &dyn SpillFile) -> Vec<u8> {
        let chunks: Vec<Bytes> = file.read_stream().unwrap().try_collect().await.unwrap();
        chunks.concat()
    }

    #[tokio::test]
    async fn what_is_written_is_read_by_several_and_has_no_name() {
        let root = tempfile::TempDir::new().unwrap();
        let folder = SpillFolder { path: root.path().join("a/b") };
        assert!(!folder.path.try_exists().unwrap(), "nothing is made before it is needed");
        let file = folder.create_temp_file("a test").unwrap();
        let data: Vec<u8> = (0..3 * READ_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&data[..100]).unwrap();
        assert_eq!(content(file.as_ref()).await, data[..100]);
        writer.write_all(&data[100..]).unwrap();
        writer.finish().unwrap();
        let (one, two) = futures::join!(content(file.as_ref()), content(file.as_ref()));
        assert!(one == data && two == data);
        assert_eq!(file.size(), Some(data.len() as u64));
        assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), 0);
    }
}
