//! Reads UBJSON, the binary form of JSON that XGBoost saves models in.
//!
//! Draft 12 of ubjson.org: a letter for the type, numbers with the highest byte first, arrays and objects with
//! an optional type and count. Lengths are never trusted: what is longer than the file is refused.

use serde_json::{Map, Value};

/// Deeper values than this are refused; those of XGBoost have a depth of ten.
const DEEPEST: usize = 64;

/// Returns whether bytes are UBJSON rather than JSON: a name has its length before it, not a quote.
pub(super) fn is_ubjson(bytes: &[u8]) -> bool {
    let second = bytes.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
    bytes.first() == Some(&b'{') && second.is_some_and(|byte| !matches!(byte, b'"' | b'}'))
}

/// Reads a value; fails with what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    let kind = reader.marker()?;
    reader.value(kind, 0)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The type and count that an array or object may begin with.
struct Head {
    kind: Option<u8>,
    count: Option<usize>,
}

impl Reader<'_> {
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            // `N` stands for nothing.
            match self.take(1)?[0] {
                b'N' => {}
                kind => return Ok(kind),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends at byte {}", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many bytes as were asked for"))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err("it is too deep".to_owned());
        }
        Ok(match kind {
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'i' => Value::from(i8::from_be_bytes(self.number()?)),
            b'U' => Value::from(self.take(1)?[0]),
            b'I' => Value::from(i16::from_be_bytes(self.number()?)),
            b'l' => Value::from(i32::from_be_bytes(self.number()?)),
            b'L' => Value::from(i64::from_be_bytes(self.number()?)),
            b'd' => Value::from(f32::from_be_bytes(self.number()?)),
            b'D' => Value::from(f64::from_be_bytes(self.number()?)),
            b'C' => Value::from(char::from(self.take(1)?[0]).to_string()),
            b'S' | b'H' => Value::from(self.text()?),
            b'[' => self.array(depth)?,
            b'{' => self.object(depth)?,
            other => return Err(format!("byte {} has the unknown type {other}", self.at)),
        })
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| format!("byte {} is no text", self.at))
    }

    fn length(&mut self) -> Result<usize, String> {
        let kind = self.marker()?;
        let length = self.value(kind, DEEPEST)?.as_u64();
        length.map(|length| length as usize).ok_or_else(|| format!("byte {} is no length", self.at))
    }

    fn head(&mut self) -> Result<Head, String> {
        let mut head = Head { kind: None, count: None };
        if self.bytes.get(self.at) == Some(&b'$') {
            self.at += 1;
            head.kind = Some(self.take(1)?[0]);
        }
        if self.bytes.get(self.at) == Some(&b'#') {
            self.at += 1;
            head.count = Some(self.length()?);
        }
        // Every value takes a byte, so a longer list is not in the file.
        if head.count.is_some_and(|count| count > self.bytes.len()) || (head.kind.is_some() && head.count.is_none()) {
            return Err(format!("byte {} begins a list that is longer than the file", self.at));
        }
        Ok(head)
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let Head { kind, count } = self.head()?;
        let mut values = Vec::with_capacity(count.unwrap_or(0));
        while count.is_none_or(|count| values.len() < count) {
            let kind = match kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            if count.is_none() && kind == b']' {
                break;
            }
            values.push(self.value(kind, depth + 1)?);
        }
        Ok(Value::Array(values))
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let Head { kind, count } = self.head()?;
        let mut values = Map::new();
        while count.is_none_or(|count| values.len() < count) {
            if count.is_none() && self.bytes.get(self.at) == Some(&b'}') {
                self.at += 1;
                break;
            }
            let name = self.text()?;
            let kind = match kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            let value = self.value(kind, depth + 1)?;
            if values.insert(name.clone(), value).is_some() {
                return Err(format!("it has `{name}` twice"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn typed_lists_and_nested_objects_are_read() {
        let bytes = b"{L\x00\x00\x00\x00\x00\x00\x00\x01a[$d#i\x02\x3f\x80\x00\x00\x40\x00\x00\x00i\x01b{i\x01cSi\x02hi}i\x01d[TFZ]}";
        assert!(is_ubjson(bytes));
        assert_eq!(read(bytes).unwrap(), json!({"a": [1.0, 2.0], "b": {"c": "hi"}, "d": [true, false, null]}));
        assert!(!is_ubjson(b"{\"learner\""));
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_refused() {
        for (bytes, message) in [
            (&b"{i\x05ab"[..], "it ends at byte 5"),
            (b"[$d#l\x7f\xff\xff\xff", "byte 9 begins a list that is longer than the file"),
            (b"[?", "byte 2 has the unknown type 63"),
        ] {
            assert_eq!(read(bytes).unwrap_err(), message);
        }
        assert_eq!(read(&b"[".repeat(1000)).unwrap_err(), "it is too deep");
    }
}
