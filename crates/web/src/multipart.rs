//! Forms in parts, `multipart/form-data` (RFC 7578 over RFC 2046): read part by part while they arrive.
//!
//! No more than one piece of the body and the beginning of a possible delimiter are in memory at a time, so a part can be a
//! file of any size. Every other thing a client can make long has a limit.

use std::io;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::{Buf as _, BytesMut};
use futures_util::{Stream, StreamExt as _};

/// How long the headers of one part may be, in bytes.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// How many parts a form may have.
const MAX_PARTS: usize = 1000;

/// The longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY_BYTES: usize = 70;

/// How much may stand before the first delimiter, in bytes. Nobody sends anything there.
const MAX_PREAMBLE_BYTES: usize = 8 * 1024;

/// Why a form cannot be read. The text is for the one who sent it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MultipartError {
    /// `Content-Type` is another kind, or has no boundary that can be one.
    #[error("the body must be multipart/form-data with a boundary")]
    NotMultipart,
    /// It breaks the grammar.
    #[error("the body is not a valid multipart/form-data: {0}")]
    Malformed(&'static str),
    /// A field is longer than it may be.
    #[error("a field of the form is longer than {0} bytes")]
    FieldTooLarge(usize),
    /// It breaks off.
    #[error("the body ended early")]
    Incomplete,
}

/// What stands before a part's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The name of the field.
    pub(crate) name: String,
    /// The name of the file, if it is one.
    pub(crate) file_name: Option<String>,
}

/// A form that is being read.
pub(crate) struct Multipart<S> {
    body: S,
    /// What has arrived and is not read yet.
    buffer: BytesMut,
    /// The line break, the hyphens and the boundary that end each part.
    delimiter: Vec<u8>,
    parts: usize,
    place: Place,
}

/// Where the reading is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Preamble,
    Content,
    /// The buffer begins with a delimiter.
    Delimiter,
    End,
}

impl<S: Stream<Item = io::Result<Bytes>> + Send + Unpin> Multipart<S> {
    /// Begins to read a form that has this content type.
    ///
    /// # Errors
    /// [`MultipartError::NotMultipart`].
    pub(crate) fn new(headers: &HeaderMap, body: S) -> Result<Multipart<S>, MultipartError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or(MultipartError::NotMultipart)?;
        // The first delimiter stands at the beginning of the body, without a line before it to break.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Multipart { body, buffer, delimiter, parts: 0, place: Place::Preamble })
    }

    /// Goes to the next part, past what is left of this one. `None` when the form has ended.
    ///
    /// # Errors
    /// [`MultipartError::Malformed`] or [`MultipartError::Incomplete`].
    pub(crate) async fn next_part(&mut self) -> Result<Option<Part>, MultipartError> {
        let mut passed = 0;
        let in_preamble = self.place == Place::Preamble;
        while let Some(piece) = self.piece().await? {
            passed += piece.len();
            if in_preamble && passed > MAX_PREAMBLE_BYTES {
                return Err(MultipartError::Malformed("it does not begin with its boundary"));
            }
        }
        if self.place == Place::End {
            return Ok(None);
        }
        self.buffer.advance(self.delimiter.len());
        while self.buffer.len() < 2 {
            self.more().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.place = Place::End;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(MultipartError::Malformed("it has too many parts"));
        }
        // The line of the delimiter ends, the headers follow, then an empty line.
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > MAX_HEADER_BYTES {
                return Err(MultipartError::Malformed("the headers of a part are too long"));
            }
            self.more().await?;
        };
        if end > MAX_HEADER_BYTES {
            return Err(MultipartError::Malformed("the headers of a part are too long"));
        }
        let headers = self.buffer.split_to(end);
        self.buffer.advance(4);
        self.place = Place::Content;
        let headers = String::from_utf8_lossy(&headers);
        let mut lines = headers.split("\r\n");
        // Only white space may stand behind a delimiter: otherwise it is none.
        if lines.next().is_none_or(|padding| !padding.bytes().all(|byte| matches!(byte, b' ' | b'\t'))) {
            return Err(MultipartError::Malformed("a line only begins like its boundary"));
        }
        part(lines).map(Some).ok_or(MultipartError::Malformed("a part has no name"))
    }

    /// Returns the next piece of the part, or `None` at its end.
    ///
    /// # Errors
    /// [`MultipartError::Incomplete`].
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, MultipartError> {
        loop {
            if matches!(self.place, Place::Delimiter | Place::End) {
                return Ok(None);
            }
            match find(&self.buffer, &self.delimiter) {
                Some(0) => {
                    self.place = Place::Delimiter;
                    return Ok(None);
                }
                Some(at) => return Ok(Some(self.buffer.split_to(at).freeze())),
                None => {}
            }
            // The end may be the beginning of a delimiter.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.more().await?;
        }
    }

    /// Returns the rest of the part as a text of at most `limit` bytes.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub(crate) async fn field(&mut self, limit: usize) -> Result<String, MultipartError> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await? {
            if text.len() + piece.len() > limit {
                return Err(MultipartError::FieldTooLarge(limit));
            }
            text.extend_from_slice(&piece);
        }
        String::from_utf8(text).map_err(|_| MultipartError::Malformed("a field is not UTF-8"))
    }

    /// Returns the rest of the part as a stream, which ends with an error if the part does not end.
    pub(crate) fn into_content(self) -> impl Stream<Item = io::Result<Bytes>> + Send
    where
        S: 'static,
    {
        futures_util::stream::try_unfold(self, |mut form| async move {
            match form.piece().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, form))),
                Err(error) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            }
        })
    }

    async fn more(&mut self) -> Result<(), MultipartError> {
        match self.body.next().await {
            Some(Ok(piece)) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            Some(Err(_)) | None => Err(MultipartError::Incomplete),
        }
    }
}

/// Returns where `sought` begins in `bytes`. Both things that are sought begin with a carriage return, which is rare.
fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| *byte == b'\r')?;
        if bytes[at..].starts_with(sought) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Returns the boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case(crate::params::MULTIPART) {
        return None;
    }
    let boundary = parameter(rest, "boundary")?;
    let fits = !boundary.is_empty()
        && boundary.len() <= MAX_BOUNDARY_BYTES
        && boundary.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    fits.then_some(boundary)
}

/// Reads the headers of a part.
fn part<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Part> {
    let disposition = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .map(|(_, value)| value)?;
    let (kind, rest) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    // The second form is not allowed here (RFC 7578, section 4.2), and several clients send it for names beyond ASCII.
    let encoded = parameter(rest, "filename*").and_then(|value| {
        let (_, text) = value.split_once('\'')?.1.split_once('\'')?;
        Some(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned())
    });
    Some(Part { name: parameter(rest, "name")?, file_name: encoded.or_else(|| parameter(rest, "filename")) })
}

/// Returns a parameter of a header: a token, or a text between quotes in which a backslash stands before a quote or itself.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches(|character: char| character == ';' || character.is_whitespace());
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

/// Returns what stands before the closing quote, and the rest behind it. Only quotes are escaped: some clients send the
/// backslashes of a path as they are.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if matches!(characters.peek(), Some((_, '"'))) => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, Iter};

    use super::*;

    type Pieces = Iter<std::vec::IntoIter<io::Result<Bytes>>>;

    fn form(content_type: &str, body: &[u8], piece: usize) -> Result<Multipart<Pieces>, MultipartError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        let pieces: Vec<_> = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Multipart::new(&headers, stream::iter(pieces))
    }

    async fn read(
        body: &[u8],
        piece: usize,
    ) -> Result<Vec<(String, Option<String>, Vec<u8>)>, MultipartError> {
        let mut form = form("multipart/form-data; boundary=XY", body, piece)?;
        let mut parts = Vec::new();
        while let Some(part) = form.next_part().await? {
            let mut content = Vec::new();
            while let Some(piece) = form.piece().await? {
                content.extend_from_slice(&piece);
            }
            parts.push((part.name, part.file_name, content));
        }
        Ok(parts)
    }

    const FORM: &[u8] = b"--XY\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--XY  \r\n\
        content-disposition: FORM-DATA; name=file; filename=\"b \\\"c\\\".bin\"\r\nContent-Type: x/y\r\n\r\n\
        \r\n--X\r\r\n--\r\n\r\n--XY\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--XY--\r\nrest";

    #[tokio::test]
    async fn parts_are_the_same_however_they_arrive() {
        let expected = vec![
            ("a".to_owned(), None, b"one".to_vec()),
            ("file".to_owned(), Some("b \"c\".bin".to_owned()), b"\r\n--X\r\r\n--\r\n".to_vec()),
            ("empty".to_owned(), None, Vec::new()),
        ];
        for piece in 1..=FORM.len() {
            assert_eq!(read(FORM, piece).await.unwrap(), expected, "{piece}");
        }
        assert_eq!(read(b"--XY--", 1).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_anywhere_is_refused() {
        for end in 0..FORM.len() - b"\r\nrest".len() {
            assert!(read(&FORM[..end], 7).await.is_err(), "{end}");
        }
    }

    #[tokio::test]
    async fn what_breaks_the_grammar_is_refused() {
        let long = format!("--XY\r\nX: {}\r\n\r\n", "a".repeat(9000));
        let many = "--XY\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(MAX_PARTS + 1);
        let preamble = format!("{}\r\n--XY--", "a".repeat(9000));
        for body in [
            "--XY\r\n\r\nno headers\r\n--XY--",
            "--XY\r\nContent-Disposition: form-data\r\n\r\n\r\n--XY--",
            "--XY\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--XY--",
            "--XYZ\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--XY--",
            "--XY\r\nContent-Disposition: form-data; name=\"a\r\n\r\n\r\n--XY--",
            &long,
            &many,
            &preamble,
        ] {
            assert!(read(body.as_bytes(), 500).await.is_err(), "{:.60}", body);
        }
        for kind in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"] {
            assert!(matches!(form(kind, b"", 1), Err(MultipartError::NotMultipart)), "{kind}");
        }
        assert!(form(&format!("multipart/form-data; boundary={}", "x".repeat(71)), b"", 1).is_err());
        assert!(form("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", b"", 1).is_ok());
    }

    #[tokio::test]
    async fn a_field_has_a_limit() {
        let mut form = form("multipart/form-data; boundary=XY", FORM, 5).unwrap();
        form.next_part().await.unwrap();
        assert!(matches!(form.field(2).await, Err(MultipartError::FieldTooLarge(2))));
    }

    #[test]
    fn names_are_read_as_clients_write_them() {
        for (line, file_name) in [
            ("form-data; name=\"file\"; filename=\"C:\\dir\\a.txt\"", "C:\\dir\\a.txt"),
            ("form-data; filename=a.txt; name=file", "a.txt"),
            ("form-data; name=\"file\"; filename=\"x\"; filename*=UTF-8''%C3%BC.txt", "ü.txt"),
            ("form-data; name=\"file\"; filename=\"a;name=b\"", "a;name=b"),
        ] {
            let header = format!("Content-Disposition: {line}");
            let read = part([header.as_str()].into_iter()).unwrap();
            assert_eq!((read.name.as_str(), read.file_name.as_deref()), ("file", Some(file_name)), "{line}");
        }
    }
}
