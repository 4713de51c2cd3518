//! Reads `CREATE MODEL name OPTIONS(…) AS SELECT …`.

use std::ops::Range;

use windlass_error::{Code, Diagnostic, Location, nearest};

use super::Model;
use super::options::decode;
use super::tokens::{Kind, Token, tokens};
use crate::problems::Problems;
use crate::yaml::{Entry, Scalar, Value, Yaml, duplicate};
use crate::{SourceMap, Transform};

/// Reads the statement of a file in `models/`; `None` where it has problems. `start` is the file, for
/// what is missing.
pub(crate) fn read_create_model(
    name: &str,
    statement: Transform,
    start: &Location,
    problems: &mut Problems,
) -> Option<Model> {
    let tokens = tokens(&statement.sql);
    let mut reader = Reader { tokens: &tokens, at: 0, map: &statement.map, start };
    let header = match reader.header(name) {
        Ok(header) => header,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    let decoded = decode(&header.options, &header.statement, problems)?;
    let query = Transform { sql: blanked(&statement.sql, header.query_from), ..statement };
    Some(Model {
        query,
        algorithm: decoded.algorithm,
        split: decoded.split,
        gates: decoded.gates,
        seed: decoded.seed,
        places: decoded.places,
    })
}

/// What stands before the query.
struct Header {
    options: Vec<Entry>,
    /// The words `create model`.
    statement: Location,
    /// Where the query begins.
    query_from: usize,
}

/// Goes through the tokens of a statement.
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    map: &'a SourceMap,
    start: &'a Location,
}

type Read<T> = Result<T, Box<Diagnostic>>;

impl Reader<'_> {
    fn header(&mut self, name: &str) -> Read<Header> {
        let first = self.span();
        if !self.take_word("create") {
            let wrong = self.wrong("a file in `models/` holds one `CREATE MODEL` statement");
            return Err(Box::new(wrong.hint("a query that publishes a table belongs into `transforms/`")));
        }
        if self.take_word("or") {
            self.expect_word("replace")?;
        }
        self.expect_word("model")?;
        let statement = self.place(first.start..self.end_of_last());
        if self.take_word("if") {
            self.expect_word("not")?;
            self.expect_word("exists")?;
        }
        self.name(name)?;
        let options = if self.take_word("options") { self.options()? } else { Vec::new() };
        if self.token().is_some_and(|token| token.is_word("transform")) {
            let wrong = self.wrong("`TRANSFORM` is not understood");
            return Err(Box::new(
                wrong.hint("compute features in the SELECT, or in a view that training and scoring both read"),
            ));
        }
        self.expect_word("as")?;
        let Some(query) = self.token() else {
            return Err(Box::new(self.wrong("expected a query after `AS`")));
        };
        if !["select", "with"].iter().any(|word| query.is_word(word)) && !query.is_sign('(') {
            return Err(Box::new(self.wrong("expected a query after `AS`")));
        }
        Ok(Header { options, statement, query_from: query.span.start })
    }

    /// Reads the model's name, which must be that of the file.
    fn name(&mut self, name: &str) -> Read<()> {
        let Some(written) = self.token().and_then(Token::name) else {
            return Err(Box::new(self.wrong("expected the model's name")));
        };
        if !written.eq_ignore_ascii_case(name) {
            let wrong = self.wrong(format!("the file is `{name}`, the statement creates `{written}`"));
            return Err(Box::new(wrong.hint("a model is named after its file; rename one of them")));
        }
        self.at += 1;
        Ok(())
    }

    fn options(&mut self) -> Read<Vec<Entry>> {
        self.expect_sign('(')?;
        let mut entries: Vec<Entry> = Vec::new();
        while !self.take_sign(')') {
            let (Some(key), key_at) = (self.token().and_then(Token::name), self.here()) else {
                return Err(Box::new(self.wrong("expected the name of an option")));
            };
            self.at += 1;
            self.expect_sign('=')?;
            let key = key.to_lowercase();
            if let Some(first) = entries.iter().find(|known| known.key == key) {
                return Err(Box::new(duplicate(&format!("option `{key}`"), &first.key_at, &key_at)));
            }
            let value = self.value(true)?;
            entries.push(Entry { key, key_at, value });
            if !self.take_sign(',') && !self.token().is_some_and(|token| token.is_sign(')')) {
                return Err(Box::new(self.wrong("expected `,` or `)` after an option")));
            }
        }
        Ok(entries)
    }

    /// Reads a text, a number, a word such as `true`, or a list of these.
    fn value(&mut self, may_be_list: bool) -> Read<Yaml> {
        let from = self.span().start;
        if may_be_list && self.take_sign('[') {
            let mut items = Vec::new();
            while !self.take_sign(']') {
                items.push(self.value(false)?);
                if !self.take_sign(',') && !self.token().is_some_and(|token| token.is_sign(']')) {
                    return Err(Box::new(self.wrong("expected `,` or `]` in a list")));
                }
            }
            return Ok(Yaml { value: Value::List(items), at: self.place(from..self.end_of_last()) });
        }
        let sign = if self.take_sign('-') { "-" } else { "" };
        let (text, plain) = match self.token().map(|token| &token.kind) {
            Some(Kind::Number(number)) => (format!("{sign}{number}"), true),
            Some(Kind::Text(text) | Kind::Quoted(text)) if sign.is_empty() => (text.clone(), false),
            Some(Kind::Word(word)) if sign.is_empty() => (word.clone(), true),
            _ => {
                let wrong = self.wrong("expected the value of an option");
                return Err(Box::new(
                    wrong.hint("write a text in quotes, a number, `true` or `false`, or a list `['a', 'b']`"),
                ));
            }
        };
        self.at += 1;
        let scalar = Scalar { text, plain, written: None };
        Ok(Yaml { value: Value::Scalar(scalar), at: self.place(from..self.end_of_last()) })
    }

    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_there = self.token().is_some_and(|token| token.is_word(word));
        self.at += usize::from(is_there);
        is_there
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let is_there = self.token().is_some_and(|token| token.is_sign(sign));
        self.at += usize::from(is_there);
        is_there
    }

    fn expect_word(&mut self, word: &str) -> Read<()> {
        if self.take_word(word) {
            return Ok(());
        }
        let wrong = self.wrong(format!("expected `{}`", word.to_uppercase()));
        let near = self.token().and_then(Token::name).and_then(|found| nearest(&found, [word]).map(str::to_uppercase));
        Err(Box::new(match near {
            Some(near) => wrong.label(format!("did you mean `{near}`?")),
            None => wrong.hint("write `CREATE MODEL name OPTIONS(model_type = '…') AS SELECT …`"),
        }))
    }

    fn expect_sign(&mut self, sign: char) -> Read<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(Box::new(self.wrong(format!("expected `{sign}`")))) }
    }

    fn wrong(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Code::CREATE_MODEL, message.into()).at(self.here())
    }

    fn here(&self) -> Location {
        self.place(self.span())
    }

    /// Returns where the next token stands, or the end of the last one.
    fn span(&self) -> Range<usize> {
        match (self.token(), self.tokens.last()) {
            (Some(token), _) => token.span.clone(),
            (None, Some(last)) => last.span.clone(),
            (None, None) => 0..0,
        }
    }

    fn end_of_last(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }

    fn place(&self, span: Range<usize>) -> Location {
        self.map.locate(span).unwrap_or_else(|| self.start.clone())
    }
}

/// Returns the text with blanks up to a place, in as many bytes and lines.
fn blanked(sql: &str, until: usize) -> String {
    let (before, rest) = sql.split_at(until);
    let mut text = String::with_capacity(sql.len());
    text.extend(before.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    text.push_str(rest);
    text
}
