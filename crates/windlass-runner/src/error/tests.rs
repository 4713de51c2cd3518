//! Failures of the database and the disk, by fault, retry, code and hint.

use super::*;

fn failure(code: ErrorCode) -> Error {
    let source = rusqlite::ffi::Error { code, extended_code: 0 };
    Error::ReadRuns { source: rusqlite::Error::SqliteFailure(source, None) }
}

#[test]
fn database_failures_are_classified() {
    let cases = [
        (ErrorCode::DiskFull, Fault::External, Retry::Never, Code::DISK_FULL, true),
        (ErrorCode::DatabaseBusy, Fault::External, Retry::Backoff, Code::RUN_STORE, true),
        (ErrorCode::DatabaseLocked, Fault::External, Retry::Backoff, Code::RUN_STORE, true),
        (ErrorCode::NotADatabase, Fault::External, Retry::Never, Code::RUN_STORE, true),
        (ErrorCode::ReadOnly, Fault::External, Retry::Never, Code::RUN_STORE, true),
        (ErrorCode::SystemIoFailure, Fault::External, Retry::Never, Code::RUN_STORE, false),
        (ErrorCode::ConstraintViolation, Fault::Internal, Retry::Never, Code::RUN_STORE, false),
    ];
    for (database, fault, retry, code, has_hint) in cases {
        let error = failure(database);
        assert_eq!(error.fault(), fault, "{database:?}");
        assert_eq!(error.retry(), retry, "{database:?}");
        assert_eq!(error.code(), Some(code), "{database:?}");
        assert_eq!(error.hint().is_some(), has_hint, "{database:?}");
    }
}

#[test]
fn full_disk_while_creating_the_folder() {
    let source = io::Error::from(io::ErrorKind::StorageFull);
    let error = Error::CreateFolder { path: ".windlass".into(), source };
    assert_eq!(error.code(), Some(Code::DISK_FULL));
    assert_eq!(error.fault(), Fault::External);
}
