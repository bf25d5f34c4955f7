//! Ranges of bytes: those that a client asks for when it downloads, and those that it announces when it uploads.
//!
//! Downloads follow RFC 9110, section 14, for one range; whoever asks for several is sent the whole, as that RFC allows.
//! Uploads follow the OCI Distribution Specification, section "Pushing a blob in chunks", whose `Content-Range` has no
//! unit.

use std::ops::Range;

use crate::ErrorCode;

/// What to send when a range is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    /// Everything, with status 200.
    Whole,
    /// These bytes, with status 206. There is at least one.
    Part(Range<u64>),
    /// Nothing, with status 416.
    Unsatisfiable,
}

impl Download {
    /// Returns what to send of content with `size` bytes when the request has this value of `Range`, if any.
    ///
    /// A value that is not understood counts as absent. A range that ends before it begins is not satisfiable.
    pub fn of(range: Option<&str>, size: u64) -> Download {
        let Some((unit, set)) = range.and_then(|range| range.split_once('=')) else { return Download::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Download::Whole;
        }
        // Several ranges have a comma between them, which no number takes.
        let Some((first, last)) = set.trim().split_once('-') else { return Download::Whole };
        let (first, last) = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
            (Some(_), Some(_)) => return Download::Unsatisfiable,
            (Some(first), None) if last.is_empty() => (first, size.saturating_sub(1)),
            (None, Some(0)) if first.is_empty() => return Download::Unsatisfiable,
            // The end of nothing is nothing, which no `Content-Range` can say.
            (None, Some(_)) if first.is_empty() && size == 0 => return Download::Whole,
            (None, Some(length)) if first.is_empty() => (size.saturating_sub(length), size - 1),
            _ => return Download::Whole,
        };
        if first >= size { Download::Unsatisfiable } else { Download::Part(first..last + 1) }
    }

    /// Returns the value of `Content-Range` that belongs to the answer, if one does.
    pub fn content_range(&self, size: u64) -> Option<String> {
        match self {
            Download::Whole => None,
            Download::Part(range) => Some(format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            Download::Unsatisfiable => Some(format!("bytes */{size}")),
        }
    }
}

/// Returns the number in `text`, which must be decimal digits and nothing else. One that is too large for its type is
/// larger than any content, so the largest stands for it.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Why a piece of an upload was refused. The session stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceRefusal {
    /// `Content-Range` is not two numbers with a hyphen between them, the first not above the second.
    #[error("Content-Range must be the first and the last position of the piece, such as 0-1023")]
    Malformed,
    /// The piece does not begin where the upload ends.
    #[error("the next piece must begin at {expected}")]
    OutOfOrder {
        /// How many bytes the upload has.
        expected: u64,
    },
    /// `Content-Length` is not the length that `Content-Range` announces.
    #[error("Content-Range announces {announced} bytes, Content-Length {length}")]
    LengthDiffers {
        /// The length by `Content-Range`.
        announced: u64,
        /// The length by `Content-Length`.
        length: u64,
    },
}

impl PieceRefusal {
    /// Returns the code of the protocol.
    pub fn code(self) -> ErrorCode {
        match self {
            PieceRefusal::Malformed | PieceRefusal::OutOfOrder { .. } => ErrorCode::BlobUploadInvalid,
            PieceRefusal::LengthDiffers { .. } => ErrorCode::SizeInvalid,
        }
    }

    /// Returns the status of the answer.
    pub fn status(self) -> u16 {
        match self {
            PieceRefusal::Malformed | PieceRefusal::OutOfOrder { .. } => 416,
            PieceRefusal::LengthDiffers { .. } => 400,
        }
    }
}

/// Checks the headers of a piece for an upload that has `size` bytes, and returns how many bytes the piece must have,
/// if that is known.
///
/// # Errors
/// Why the piece is refused.
pub fn piece_length(
    content_range: Option<&str>,
    content_length: Option<u64>,
    size: u64,
) -> Result<Option<u64>, PieceRefusal> {
    let Some(range) = content_range else { return Ok(content_length) };
    let (first, last) = range.split_once('-').ok_or(PieceRefusal::Malformed)?;
    let (first, last) = number(first).zip(number(last)).ok_or(PieceRefusal::Malformed)?;
    // The largest number also stands for those that are too large, and has no successor.
    if first > last || last == u64::MAX {
        return Err(PieceRefusal::Malformed);
    }
    if first != size {
        return Err(PieceRefusal::OutOfOrder { expected: size });
    }
    let announced = last - first + 1;
    match content_length {
        Some(length) if length != announced => Err(PieceRefusal::LengthDiffers { announced, length }),
        _ => Ok(Some(announced)),
    }
}

/// Returns the value of `Range` that says how much an upload has: the first and the last position. It is `0-0` for one
/// byte and, because there is no other way to say it, for none.
pub fn upload_range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn downloads_of_2048_bytes() {
        let part = |range: Range<u64>| Download::Part(range);
        for (range, expected, content_range) in [
            ("bytes=500-1499", part(500..1500), Some("bytes 500-1499/2048")),
            ("bytes=500-", part(500..2048), Some("bytes 500-2047/2048")),
            ("bytes=-500", part(1548..2048), Some("bytes 1548-2047/2048")),
            ("bytes=2000-5000", part(2000..2048), Some("bytes 2000-2047/2048")),
            ("bytes=0-0", part(0..1), Some("bytes 0-0/2048")),
            ("bytes=0-", part(0..2048), Some("bytes 0-2047/2048")),
            ("bytes=2047-2047", part(2047..2048), Some("bytes 2047-2047/2048")),
            ("bytes=-5000", part(0..2048), Some("bytes 0-2047/2048")),
            ("bytes=0-99999999999999999999999", part(0..2048), Some("bytes 0-2047/2048")),
            ("bytes=-99999999999999999999999", part(0..2048), Some("bytes 0-2047/2048")),
            ("Bytes=0-1", part(0..2), Some("bytes 0-1/2048")),
            (" bytes = 0-1 ", part(0..2), Some("bytes 0-1/2048")),
            ("bytes=500-0", Download::Unsatisfiable, Some("bytes */2048")),
            ("bytes=5000-10000", Download::Unsatisfiable, Some("bytes */2048")),
            ("bytes=2048-", Download::Unsatisfiable, Some("bytes */2048")),
            ("bytes=99999999999999999999999-", Download::Unsatisfiable, Some("bytes */2048")),
            ("bytes=-0", Download::Unsatisfiable, Some("bytes */2048")),
            // Several ranges, other units, and what is no range.
            ("bytes=0-1,5-6", Download::Whole, None),
            ("bytes=0-1, 5-6", Download::Whole, None),
            ("bytes=,0-1", Download::Whole, None),
            ("lines=0-1", Download::Whole, None),
            ("bytes", Download::Whole, None),
            ("bytes=", Download::Whole, None),
            ("bytes=-", Download::Whole, None),
            ("bytes=a-b", Download::Whole, None),
            ("bytes=+1-2", Download::Whole, None),
            ("bytes=1-2-3", Download::Whole, None),
            ("bytes=--1", Download::Whole, None),
            ("bytes=0x1-2", Download::Whole, None),
            ("", Download::Whole, None),
        ] {
            let download = Download::of(Some(range), 2048);
            assert_eq!(download, expected, "{range}");
            assert_eq!(download.content_range(2048).as_deref(), content_range, "{range}");
        }
        assert_eq!(Download::of(None, 2048), Download::Whole);
    }

    #[test]
    fn of_nothing_nothing_can_be_asked() {
        assert_eq!(Download::of(Some("bytes=0-"), 0), Download::Unsatisfiable);
        assert_eq!(Download::of(Some("bytes=0-0"), 0), Download::Unsatisfiable);
        assert_eq!(Download::of(Some("bytes=-1"), 0), Download::Whole);
        assert_eq!(Download::Unsatisfiable.content_range(0).as_deref(), Some("bytes */0"));
    }

    #[test]
    fn pieces_of_an_upload_with_1000_bytes() {
        let out_of_order = Err(PieceRefusal::OutOfOrder { expected: 1000 });
        for (range, length, expected) in [
            (None, None, Ok(None)),
            (None, Some(5), Ok(Some(5))),
            (Some("1000-1999"), Some(1000), Ok(Some(1000))),
            (Some("1000-1999"), None, Ok(Some(1000))),
            (Some("1000-1000"), Some(1), Ok(Some(1))),
            (Some("0-999"), Some(1000), out_of_order),
            (Some("0-999"), None, out_of_order),
            (Some("999-1998"), Some(1000), out_of_order),
            (Some("1001-2000"), Some(1000), out_of_order),
            // The order is looked at first, whatever the length says.
            (Some("0-999"), Some(7), out_of_order),
            (Some("1000-1999"), Some(999), Err(PieceRefusal::LengthDiffers { announced: 1000, length: 999 })),
            (Some("1000-1999"), Some(0), Err(PieceRefusal::LengthDiffers { announced: 1000, length: 0 })),
            (Some("1000-999"), Some(0), Err(PieceRefusal::Malformed)),
            (Some("bytes 1000-1999"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("1000-1999/2000"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("1000"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("1000-"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("-1999"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("+1000-1999"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some(" 1000-1999"), Some(1000), Err(PieceRefusal::Malformed)),
            (Some("1000-99999999999999999999999"), None, Err(PieceRefusal::Malformed)),
            (Some(""), None, Err(PieceRefusal::Malformed)),
        ] {
            assert_eq!(piece_length(range, length, 1000), expected, "{range:?} with {length:?}");
        }
    }

    #[test]
    fn refusals_of_pieces_have_the_status_that_clients_act_on() {
        assert_eq!(PieceRefusal::Malformed.status(), 416);
        assert_eq!(PieceRefusal::OutOfOrder { expected: 0 }.status(), 416);
        let differs = PieceRefusal::LengthDiffers { announced: 1, length: 2 };
        assert_eq!((differs.status(), differs.code()), (400, ErrorCode::SizeInvalid));
    }

    #[test]
    fn an_upload_says_its_last_position() {
        assert_eq!([0, 1, 2, 1024].map(upload_range), ["0-0", "0-0", "0-1", "0-1023"]);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_outside(
            first in proptest::option::of(0u64..200),
            last in proptest::option::of(0u64..200),
            size in 0u64..200,
        ) {
            let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let range = format!("bytes={}-{}", text(first), text(last));
            if let Download::Part(part) = Download::of(Some(&range), size) {
                prop_assert!(part.start < part.end && part.end <= size, "{range} of {size}: {part:?}");
                // What is sent is what was asked for, as far as it is there.
                match (first, last) {
                    (Some(first), Some(last)) => prop_assert_eq!(part, first..size.min(last + 1)),
                    (Some(first), None) => prop_assert_eq!(part, first..size),
                    (None, Some(length)) => prop_assert_eq!(part, size - size.min(length)..size),
                    (None, None) => prop_assert!(false, "nothing was asked for"),
                }
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,40}", size in any::<u64>(), length in proptest::option::of(any::<u64>())) {
            let download = Download::of(Some(&text), size);
            let _ = (download.content_range(size), piece_length(Some(&text), length, size), upload_range(size));
        }

        #[test]
        fn numbers_of_any_length_are_borne(
            first in "[0-9]{0,30}", last in "[0-9]{0,30}", size in any::<u64>(),
        ) {
            let range = format!("{first}-{last}");
            if let Download::Part(part) = Download::of(Some(&format!("bytes={range}")), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
            if let Ok(length) = piece_length(Some(&range), None, size) {
                prop_assert!(size.checked_add(length.unwrap()).is_some());
            }
        }
    }
}
