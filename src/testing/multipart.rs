//! `multipart/form-data`, read as it arrives: a part may be larger than memory.

use bytes::{Buf, BytesMut};
use memchr::memmem;
use percent_encoding::percent_decode_str;

use super::api_error::ApiError;
use super::ids::Fnv;

/// One part of a form.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content: Content,
}

impl Part {
    /// The value of a field.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.content.head).ok()
    }
}

/// Bytes that went by, and as many of the first ones as are kept.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) len: u64,
    pub(super) head: Vec<u8>,
    digest: Fnv,
    keep: usize,
}

impl Content {
    pub(super) fn new(keep: usize) -> Self {
        Self { len: 0, head: Vec::new(), digest: Fnv::new(), keep }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.digest.update(bytes);
        let room = self.keep.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// All of it, if that was kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.head.len() as u64 == self.len).then_some(&self.head)
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// A form in the making.
#[derive(Debug)]
pub(super) struct Multipart {
    /// What stands between two parts, the line break before it included.
    delimiter: Vec<u8>,
    buffered: BytesMut,
    state: State,
    parts: Vec<Part>,
    keep: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Delimiter,
    Head,
    Body,
    End,
}

const MAX_PARTS: usize = 100;
const MAX_HEAD: usize = 16 * 1024;

impl Multipart {
    /// A form of this content type, of whose parts the first `keep` bytes each are kept.
    ///
    /// # Errors
    ///
    /// 400 for a content type without a boundary.
    pub(super) fn new(content_type: &str, keep: usize) -> Result<Self, ApiError> {
        let boundary = parameter(content_type, "boundary")
            .filter(|boundary| !boundary.is_empty())
            .ok_or_else(|| malformed("its content-type has no boundary"))?;
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter may stand at the very beginning.
        let (buffered, parts) = (BytesMut::from("\r\n"), Vec::new());
        Ok(Self { delimiter, buffered, state: State::Preamble, parts, keep })
    }

    /// Reads on. What it holds back is at most a head or a delimiter.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), ApiError> {
        self.buffered.extend_from_slice(data);
        while self.step()? {}
        Ok(())
    }

    /// The parts, once all was read.
    pub(super) fn finish(self) -> Result<Vec<Part>, ApiError> {
        match self.state {
            State::End => Ok(self.parts),
            _ => Err(malformed("it ends before its last boundary")),
        }
    }

    /// Takes one step; false if more bytes are needed for it.
    fn step(&mut self) -> Result<bool, ApiError> {
        match self.state {
            State::Preamble | State::Body => {
                let found = memmem::find(&self.buffered, &self.delimiter);
                // Without a delimiter, all but what may be the beginning of one is content.
                let content =
                    found.unwrap_or((self.buffered.len() + 1).saturating_sub(self.delimiter.len()));
                let content = self.buffered.split_to(content);
                if let (State::Body, Some(part)) = (self.state, self.parts.last_mut()) {
                    part.content.push(&content);
                }
                if found.is_some() {
                    self.buffered.advance(self.delimiter.len());
                    self.state = State::Delimiter;
                }
                Ok(found.is_some())
            }
            State::Delimiter => {
                let Some(next) = self.buffered.get(..2) else { return Ok(false) };
                self.state = match next {
                    b"--" => State::End,
                    b"\r\n" => State::Head,
                    _ => return Err(malformed("a boundary does not end its line")),
                };
                Ok(true)
            }
            // The line break after the delimiter is still there: a head may have no lines.
            State::Head => {
                let Some(end) = memmem::find(&self.buffered, b"\r\n\r\n") else {
                    let long = self.buffered.len() > MAX_HEAD;
                    return if long { Err(malformed("a head is too long")) } else { Ok(false) };
                };
                let head = self.buffered.split_to(end);
                self.buffered.advance(4);
                if self.parts.len() == MAX_PARTS {
                    return Err(malformed("it has more than 100 parts"));
                }
                self.parts.push(part(&String::from_utf8_lossy(&head), self.keep)?);
                self.state = State::Body;
                Ok(true)
            }
            State::End => {
                self.buffered.clear();
                Ok(false)
            }
        }
    }
}

fn part(head: &str, keep: usize) -> Result<Part, ApiError> {
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let disposition = header("content-disposition")
        .ok_or_else(|| malformed("a part has no content-disposition"))?;
    let extended = parameter(disposition, "filename*").and_then(|value| {
        let encoded = value.rsplit('\'').next()?;
        Some(percent_decode_str(encoded).decode_utf8_lossy().into_owned())
    });
    Ok(Part {
        name: parameter(disposition, "name").ok_or_else(|| malformed("a part has no name"))?,
        file_name: extended.or_else(|| parameter(disposition, "filename")),
        content_type: header("content-type").map(str::to_owned),
        content: Content::new(keep),
    })
}

/// The parameter `name` of a header such as `form-data; name="a"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = value(after);
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after.split_once(';')?.1;
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return (token.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            char => value.push(char),
        }
    }
    (value, chars.as_str())
}

fn malformed(why: &str) -> ApiError {
    ApiError::invalid_request(format!("The multipart form cannot be read: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x y\"";
    const FORM: &str = "before\r\n--x y\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n\
                        user_data\r\n--x y\r\ncontent-disposition: form-data; name=file; \
                        filename=\"a;\\\"b\\\".txt\"\r\nContent-Type: text/plain\r\n\r\n\
                        one\r\n--x \r\n--x\r\ntwo\r\n--x y\r\ncontent-disposition: form-data; \
                        name=\"empty\"; filename*=UTF-8''caf%C3%A9\r\n\r\n\r\n--x y--\r\nafter";

    fn read(chunk: usize) -> Vec<Part> {
        let mut form = Multipart::new(TYPE, 5).unwrap();
        for chunk in FORM.as_bytes().chunks(chunk) {
            form.push(chunk).unwrap();
            assert!(form.buffered.len() < 200);
        }
        form.finish().unwrap()
    }

    #[test]
    fn parts_are_the_same_however_they_arrive() {
        for chunk in [1, 2, 3, 7, 50, FORM.len()] {
            let parts = read(chunk);
            let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
            assert_eq!(names, ["purpose", "file", "empty"], "{chunk}");
            assert_eq!(parts[0].text(), Some("user_"), "no more than five bytes are kept");
            assert_eq!((parts[0].content.len, parts[0].content.whole()), (9, None));
            let file = "one\r\n--x \r\n--x\r\ntwo";
            assert_eq!(parts[1].content.len, file.len() as u64);
            assert_eq!(parts[1].content.digest(), Fnv::of(file.as_bytes()));
            assert_eq!(parts[1].file_name.as_deref(), Some("a;\"b\".txt"));
            assert_eq!(parts[1].content_type.as_deref(), Some("text/plain"));
            assert_eq!((parts[2].content.len, parts[2].file_name.as_deref()), (0, Some("café")));
        }
    }

    #[test]
    fn broken_forms_are_refused() {
        assert!(Multipart::new("multipart/form-data", 1).is_err());
        let broken = |form: &str| {
            let mut parser = Multipart::new("multipart/form-data; boundary=b", 1).unwrap();
            parser.push(form.as_bytes()).and_then(|()| parser.finish()).unwrap_err().message
        };
        assert!(broken("").contains("ends before"));
        assert!(broken("--b\r\n\r\n\r\nx\r\n--b--").contains("no content-disposition"));
        assert!(broken("--b\r\ncontent-disposition: form-data\r\n\r\nx").contains("no name"));
        assert!(broken("--bcd").contains("end its line"));
        assert!(broken(&format!("--b\r\n{}", "h".repeat(MAX_HEAD + 1))).contains("too long"));
        let part = "--b\r\ncontent-disposition: form-data; name=a\r\n\r\nx\r\n";
        assert!(broken(&part.repeat(MAX_PARTS + 1)).contains("100 parts"));
    }
}
