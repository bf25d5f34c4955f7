//! What `git receive-pack` answers, read while it passes on its way to the client: which refs have moved.
//!
//! The answer is a series of packets (gitprotocol-pack, "Report Status"). A client that asked for `side-band-64k` gets
//! them multiplexed: progress for the person on band 2, and on band 1 the report, which is a series of packets itself.
//! Another gets the report alone. One that asked for no report gets none.

use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};

use crate::RefName;

/// How many bytes the length of a packet takes, which counts itself.
const LENGTH_BYTES: usize = 4;

/// The longest content of a multiplexed packet, without its band, in bytes.
const MAX_BAND_BYTES: usize = 65_520 - LENGTH_BYTES - 1;

/// The bands of a multiplexed answer.
const BAND_OF_THE_REPORT: u8 = 1;
const BAND_OF_THE_PERSON: u8 = 2;

/// A report that is being read.
#[derive(Default)]
pub(crate) struct Report {
    /// What has arrived and is no whole packet yet.
    unread: BytesMut,
    /// What has arrived of the report and is no whole packet of it yet.
    unread_lines: BytesMut,
    shape: Shape,
    moved: HashSet<Box<[u8]>>,
    is_whole: bool,
    /// The end of the answer, which waits for [`Report::end`].
    end: Bytes,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Unknown,
    Plain,
    Multiplexed,
    /// It is passed on as it is.
    NotUnderstood,
}

/// A packet at the beginning of some bytes.
enum Packet {
    /// It ends at this length.
    Content(usize),
    Flush,
    Incomplete,
    Malformed,
}

impl Report {
    /// Reads the next bytes of git's answer, and returns those that the client may have now. The flush that ends the
    /// answer is held back until [`Report::end`].
    pub(crate) fn read(&mut self, chunk: Bytes) -> Bytes {
        if self.shape == Shape::NotUnderstood || !self.end.is_empty() {
            // Nothing follows the end of a report. Whatever this is, the client shall have it.
            self.shape = Shape::NotUnderstood;
            return join([std::mem::take(&mut self.end), chunk]);
        }
        self.unread.extend_from_slice(&chunk);
        let mut length = 0;
        loop {
            match packet_in(&self.unread[length..]) {
                Packet::Content(end) => {
                    self.take_packet(length + LENGTH_BYTES, length + end);
                    length += end;
                }
                Packet::Flush => {
                    self.is_whole |= self.shape == Shape::Plain;
                    let shown = self.unread.split_to(length).freeze();
                    self.end = self.unread.split().freeze();
                    return shown;
                }
                Packet::Incomplete => return self.unread.split_to(length).freeze(),
                Packet::Malformed => {
                    self.shape = Shape::NotUnderstood;
                    return self.unread.split().freeze();
                }
            }
        }
    }

    /// Says whether the report has been read to its end: what [`Report::has_moved`] says is final.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Says whether git reported that it has changed a ref as it was asked to.
    pub(crate) fn has_moved(&self, name: &RefName) -> bool {
        self.moved.contains(name.as_str().as_bytes())
    }

    /// Returns what the client gets at the end of the answer: first `text`, if there is a band for it, and then what was
    /// held back.
    pub(crate) fn end(self, text: &str) -> Bytes {
        let mut said = BytesMut::new();
        if self.shape == Shape::Multiplexed && !self.end.is_empty() {
            for part in text.as_bytes().chunks(MAX_BAND_BYTES) {
                said.put_slice(format!("{:04x}", LENGTH_BYTES + 1 + part.len()).as_bytes());
                said.put_u8(BAND_OF_THE_PERSON);
                said.put_slice(part);
            }
        }
        join([said.freeze(), self.end, self.unread.freeze()])
    }

    fn take_packet(&mut self, begin: usize, end: usize) {
        let content = &self.unread[begin..end];
        if self.shape == Shape::Unknown {
            self.shape = match content.first() {
                Some(1..=3) => Shape::Multiplexed,
                _ => Shape::Plain,
            };
        }
        match (self.shape, content) {
            (Shape::Multiplexed, [BAND_OF_THE_REPORT, part @ ..]) => {
                self.unread_lines.extend_from_slice(part);
                self.take_lines();
            }
            (Shape::Plain, line) => note(&mut self.moved, line),
            _ => {}
        }
    }

    /// Reads the packets of a multiplexed report.
    fn take_lines(&mut self) {
        while !self.is_whole {
            match packet_in(&self.unread_lines) {
                Packet::Content(end) => {
                    let packet = self.unread_lines.split_to(end);
                    note(&mut self.moved, &packet[LENGTH_BYTES..]);
                }
                Packet::Flush => self.is_whole = true,
                Packet::Incomplete => return,
                // Without its end the report says nothing, and the rest of it is not kept.
                Packet::Malformed => return self.unread_lines.clear(),
            }
        }
    }
}

/// Notes the ref of a line `ok <ref>`. Every other line is about the pack, about a ref that did not move, or says more
/// about the line before.
fn note(moved: &mut HashSet<Box<[u8]>>, line: &[u8]) {
    if let Some(name) = line.strip_prefix(b"ok ") {
        moved.insert(name.strip_suffix(b"\n").unwrap_or(name).into());
    }
}

fn packet_in(bytes: &[u8]) -> Packet {
    let Some(digits) = bytes.get(..LENGTH_BYTES) else { return Packet::Incomplete };
    let length = str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => Packet::Flush,
        Some(length) if length >= LENGTH_BYTES && bytes.len() >= length => Packet::Content(length),
        Some(length) if length >= LENGTH_BYTES => Packet::Incomplete,
        _ => Packet::Malformed,
    }
}

/// Joins what mostly is one piece.
fn join<const N: usize>(parts: [Bytes; N]) -> Bytes {
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return Bytes::new() };
    parts.fold(first, |before, part| [before, part].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSH: &[u8] = b"0000";
    const LINES: [&str; 4] =
        ["unpack ok\n", "ok refs/heads/a\n", "ng refs/heads/b hook declined\n", "ok refs/tags/c\n"];

    fn packet(content: &[u8]) -> Vec<u8> {
        [format!("{:04x}", content.len() + LENGTH_BYTES).as_bytes(), content].concat()
    }

    fn plain() -> Vec<u8> {
        let lines: Vec<u8> = LINES.iter().flat_map(|line| packet(line.as_bytes())).collect();
        [lines.as_slice(), FLUSH].concat()
    }

    /// The report in bands of a few bytes, with progress before and between them.
    fn multiplexed() -> Vec<u8> {
        let mut bytes = packet(b"\x02Resolving deltas\n");
        bytes.extend(packet(b"\x01"));
        for part in plain().chunks(7) {
            bytes.extend(packet(&[b"\x01", part].concat()));
            bytes.extend(packet(b"\x02.\n"));
        }
        bytes.extend_from_slice(FLUSH);
        bytes
    }

    fn name(text: &str) -> RefName {
        RefName::parse(text).unwrap()
    }

    /// Reads an answer in pieces of a length, and returns what the client got, before and at the end.
    fn read(answer: &[u8], length: usize) -> (Report, Vec<u8>) {
        let mut report = Report::default();
        let shown =
            answer.chunks(length).flat_map(|part| report.read(Bytes::copy_from_slice(part))).collect();
        (report, shown)
    }

    #[test]
    fn what_moved_is_read_however_the_answer_is_cut() {
        for answer in [plain(), multiplexed()] {
            for length in 1..=answer.len() {
                let (report, mut shown) = read(&answer, length);
                assert!(report.is_whole());
                assert!(report.has_moved(&name("refs/heads/a")) && report.has_moved(&name("refs/tags/c")));
                assert!(!report.has_moved(&name("refs/heads/b")) && !report.has_moved(&name("refs/heads/c")));
                assert_eq!(shown, answer[..answer.len() - FLUSH.len()], "in pieces of {length}");
                shown.extend(report.end(""));
                assert_eq!(shown, answer, "in pieces of {length}");
            }
        }
    }

    #[test]
    fn a_report_without_its_end_is_not_whole() {
        for answer in [plain(), multiplexed()] {
            let before = answer.len() - FLUSH.len() - 1;
            let (report, shown) = read(&answer[..before - 20], before);
            assert!(!report.is_whole());
            let end = report.end("too late");
            assert_eq!([shown, end.to_vec()].concat(), answer[..before - 20]);
        }
    }

    #[test]
    fn lines_for_the_person_come_before_the_end_where_there_is_a_band_for_them() {
        let text = format!("{}\n", "x".repeat(70_000));
        let (report, shown) = read(&multiplexed(), 100);
        let (first, second) = text.as_bytes().split_at(MAX_BAND_BYTES);
        let mut expected = packet(&[b"\x02", first].concat());
        expected.extend(packet(&[b"\x02", second].concat()));
        expected.extend_from_slice(FLUSH);
        assert_eq!(report.end(&text), expected);
        assert_eq!(shown, multiplexed()[..multiplexed().len() - FLUSH.len()]);
        assert_eq!(read(&plain(), 100).0.end(&text), FLUSH);
    }

    #[test]
    fn what_is_not_understood_is_passed_on_and_says_nothing() {
        let odd = [b"fatal: this is no packet".as_slice(), &plain()].concat();
        let twice = [plain(), plain()].concat();
        for answer in [odd, b"0003".to_vec(), b"00".to_vec()] {
            for length in [1, 3, 1000] {
                let (report, shown) = read(&answer, length);
                assert!(!report.is_whole());
                assert_eq!([shown, report.end("hello").to_vec()].concat(), answer);
            }
        }
        for length in [1, 3, 1000] {
            let (report, shown) = read(&twice, length);
            assert_eq!([shown, report.end("").to_vec()].concat(), twice);
        }
    }
}
