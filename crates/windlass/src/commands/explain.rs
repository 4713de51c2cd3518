//! `windlass explain`: what error codes mean.

use windlass_error::{CODES, Code, CodeEntry, nearest};

use crate::cli::{ExplainArgs, Format};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::wire::{Explanation, Explanations};

/// Prints the texts of codes, or the list of all.
pub(super) fn run(args: &ExplainArgs, printer: &Printer) -> anyhow::Result<Status> {
    let entries = match args.codes.as_slice() {
        [] => CODES.iter().collect(),
        codes => codes.iter().map(|code| find(code)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    match args.format {
        Format::Json => {
            let codes = entries.into_iter().map(|entry| Explanation {
                code: entry.code.0,
                title: entry.title,
                explanation: entry.explanation,
            });
            printer.json("explain", &Explanations { codes: codes.collect() })?;
        }
        Format::Text if args.codes.is_empty() => {
            let lines: Vec<String> = entries.iter().map(|entry| format!("{}  {}", entry.code, entry.title)).collect();
            printer.data(&lines.join("\n"))?;
        }
        Format::Text => {
            let paint = printer.data_paint();
            let text = |entry: &&CodeEntry| {
                let title = paint.strong(&format!("{}: {}", entry.code, entry.title));
                format!("{title}\n\n{}\n", entry.explanation.trim())
            };
            printer.data(&entries.iter().map(text).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Status::Done)
}

fn find(code: &str) -> anyhow::Result<&'static CodeEntry> {
    Code::find(code).ok_or_else(|| {
        let refusal = Refusal::new(format!("no code `{code}`"));
        let near = nearest(code, CODES.iter().map(|entry| entry.code.0));
        let hint = match near {
            Some(near) => format!("did you mean {near}? `windlass explain` lists all codes"),
            None => "`windlass explain` lists all codes".to_owned(),
        };
        refusal.hint(hint).into()
    })
}
