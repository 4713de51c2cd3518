//! `windlass init`: a new project.
//!
//! Templates are part of the binary, so no network is needed. No file is ever replaced.

use std::path::Path;

use anyhow::Context;
use include_dir::{Dir, include_dir};

use crate::cli::{InitArgs, Template};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::settings::Settings;

/// A file of a template: path below the project, content.
type TemplateFile = (&'static Path, &'static [u8]);

static BLANK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/blank");

/// The example, file by file and folder by folder: its lake and run store must not come along.
static FLIGHTS: [(&str, &[u8]); 3] = [
    ("windlass.yml", include_bytes!("../../../../examples/flights/windlass.yml")),
    ("targets.yml", include_bytes!("../../../../examples/flights/targets.yml")),
    ("sources.yml", include_bytes!("../../../../examples/flights/sources.yml")),
];
static FLIGHTS_FOLDERS: [(&str, Dir<'_>); 10] = [
    ("checks", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/checks")),
    ("data", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/data")),
    ("functions", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/functions")),
    ("lib", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/lib")),
    ("locks", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/locks")),
    ("macros", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/macros")),
    ("models", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/models")),
    ("seeds", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/seeds")),
    ("tests", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/tests")),
    ("transforms", include_dir!("$CARGO_MANIFEST_DIR/../../examples/flights/transforms")),
];

/// What keeps tables and history out of the project's repository.
const IGNORED: (&str, &[u8]) = (".gitignore", b"/lake/\n/.windlass/\n");

/// Makes a project and says what to do next.
pub(super) fn run(args: &InitArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let folder = settings.current.join(&args.folder);
    let files = files(args.template);
    refuse_occupied(&folder, &args.folder, &files)?;
    for (path, content) in &files {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make the folder `{}`", parent.display()))?;
        write_new(&file, content)?;
    }
    printer.note(&next_commands(args, files.len()));
    Ok(Status::Done)
}

fn next_commands(args: &InitArgs, files: usize) -> String {
    let first = match is_here(&args.folder) {
        true => "windlass ls --format tree".to_owned(),
        false => format!("cd {}", args.folder.display()),
    };
    let name = named(&args.folder);
    let table = match args.template {
        Template::Blank => "greetings",
        Template::Flights => "carrier_summary",
    };
    format!("Made a project in {name}, {files} files. Next:\n\n  {first}\n  windlass run\n  windlass show {table}")
}

fn files(template: Template) -> Vec<(std::path::PathBuf, &'static [u8])> {
    let mut files = Vec::new();
    match template {
        Template::Blank => gather(&BLANK, Path::new(""), &mut files),
        Template::Flights => {
            files.extend(FLIGHTS.iter().map(|(path, content)| (Path::new(path).to_path_buf(), *content)));
            for (name, folder) in &FLIGHTS_FOLDERS {
                gather(folder, Path::new(name), &mut files);
            }
        }
    }
    files.push((IGNORED.0.into(), IGNORED.1));
    files
}

fn gather(folder: &'static Dir<'_>, below: &Path, files: &mut Vec<(std::path::PathBuf, &'static [u8])>) {
    for file in folder.files() {
        let (path, content): TemplateFile = (file.path(), file.contents());
        // What Python leaves beside a script.
        if !path.iter().any(|part| part == "__pycache__") {
            files.push((below.join(path), content));
        }
    }
    for inner in folder.dirs() {
        gather(inner, below, files);
    }
}

fn refuse_occupied(folder: &Path, name: &Path, files: &[(std::path::PathBuf, &'static [u8])]) -> anyhow::Result<()> {
    if folder.join("windlass.yml").exists_or_unreadable() {
        let message = format!("{} holds a project already", named(name));
        return Err(Refusal::new(message).hint("name another folder: windlass init DIR").into());
    }
    let taken = files.iter().find(|(path, _)| path != Path::new(IGNORED.0) && folder.join(path).exists_or_unreadable());
    if let Some((path, _)) = taken {
        let path = if is_here(name) { path.clone() } else { name.join(path) };
        let message = format!("`{}` exists already", path.display());
        return Err(Refusal::new(message).hint("no file is replaced; name another folder: windlass init DIR").into());
    }
    Ok(())
}

fn is_here(folder: &Path) -> bool {
    folder == Path::new(".")
}

fn named(folder: &Path) -> String {
    if is_here(folder) { "this folder".to_owned() } else { format!("`{}`", folder.display()) }
}

fn write_new(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match std::fs::OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(mut open) => open.write_all(content),
        // The user's own `.gitignore` stays.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .with_context(|| format!("cannot write `{}`", file.display()))
}

/// Whether something may be there; what cannot be looked at counts as there.
trait Occupied {
    fn exists_or_unreadable(&self) -> bool;
}

impl Occupied for std::path::PathBuf {
    fn exists_or_unreadable(&self) -> bool {
        self.try_exists().unwrap_or(true)
    }
}
