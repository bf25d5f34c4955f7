//! What a hook and the engine say to each other over the socket that the hook inherits: one question, one answer.
//!
//! Both sides are the same program, but not always the same build of it while an upgrade runs, so a message begins
//! with a version, and everything is length-prefixed and bounded.

use std::io::{self, Read};

/// The first bytes of a question. Change it with the format.
const MAGIC: [u8; 4] = *b"PCH2";

/// The largest list of updates a hook passes on, in bytes: 100,000 lines of an ordinary length fit several times.
pub(crate) const MAX_UPDATES_BYTES: usize = 32 * 1024 * 1024;

/// The most updates in one push.
pub(crate) const MAX_UPDATES: usize = 100_000;

/// The most push options in one push, and the longest of them in bytes.
pub(crate) const MAX_OPTIONS: usize = 20;
pub(crate) const MAX_OPTION_BYTES: usize = 1024;

/// The longest path or list of paths in a question, in bytes.
const MAX_PATH_BYTES: usize = 16 * 1024;

/// The longest text of an answer, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// What a hook was given by git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Standard input as it came: lines of `old new ref`.
    pub(crate) updates: Vec<u8>,
    /// `GIT_QUARANTINE_PATH`, empty when not set.
    pub(crate) quarantine: Vec<u8>,
    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES`, empty when not set.
    pub(crate) alternates: Vec<u8>,
    /// The push options.
    pub(crate) options: Vec<Vec<u8>>,
}

impl Question {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put(&mut bytes, &self.updates);
        put(&mut bytes, &self.quarantine);
        put(&mut bytes, &self.alternates);
        put_number(&mut bytes, self.options.len());
        for option in &self.options {
            put(&mut bytes, option);
        }
        bytes
    }

    pub(crate) async fn read(source: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Question> {
        use tokio::io::AsyncReadExt;
        let mut magic = [0; MAGIC.len()];
        source.read_exact(&mut magic).await?;
        if magic != MAGIC {
            return Err(malformed("a hook of another version asked"));
        }
        let updates = take(source, MAX_UPDATES_BYTES).await?;
        let quarantine = take(source, MAX_PATH_BYTES).await?;
        let alternates = take(source, MAX_PATH_BYTES).await?;
        let count = source.read_u32().await? as usize;
        if count > MAX_OPTIONS {
            return Err(malformed("too many push options"));
        }
        let mut options = Vec::with_capacity(count);
        for _ in 0..count {
            options.push(take(source, MAX_OPTION_BYTES).await?);
        }
        Ok(Question { updates, quarantine, alternates, options })
    }
}

/// What the engine says to a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) accept: bool,
    /// Lines for the person who pushes, ready to be shown.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = self.text.as_str();
        while text.len() > MAX_TEXT_BYTES {
            // A text this long is cut at the last whole line that fits, or dropped.
            text = text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
                .rsplit_once('\n')
                .map_or("", |(head, _)| head);
        }
        let mut bytes = vec![u8::from(self.accept)];
        put(&mut bytes, text.as_bytes());
        bytes
    }

    pub(crate) fn read(source: &mut impl Read) -> io::Result<Answer> {
        let mut head = [0; 5];
        source.read_exact(&mut head)?;
        let [verdict, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if verdict > 1 || length > MAX_TEXT_BYTES {
            return Err(malformed("an answer that is none"));
        }
        let mut text = vec![0; length];
        source.read_exact(&mut text)?;
        let text = String::from_utf8(text).map_err(|_| malformed("an answer that is not text"))?;
        Ok(Answer { accept: verdict == 1, text })
    }
}

fn put_number(bytes: &mut Vec<u8>, number: usize) {
    // Everything that is put here has been bounded far below 4 GiB; a larger number is refused by the reader.
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

fn put(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len());
    bytes.extend_from_slice(value);
}

async fn take(source: &mut (impl tokio::io::AsyncRead + Unpin), at_most: usize) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let length = source.read_u32().await? as usize;
    if length > at_most {
        return Err(malformed("a field that is too long"));
    }
    let mut bytes = vec![0; length];
    source.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            updates: b"a b c\n".to_vec(),
            quarantine: b"/q".to_vec(),
            alternates: Vec::new(),
            options: vec![b"ci.skip".to_vec(), Vec::new()],
        }
    }

    #[tokio::test]
    async fn a_question_arrives_as_it_was_asked() {
        let bytes = question().encode();
        assert_eq!(Question::read(&mut bytes.as_slice()).await.unwrap(), question());
    }

    #[tokio::test]
    async fn every_cut_and_every_damaged_head_is_an_error() {
        let bytes = question().encode();
        for length in 0..bytes.len() {
            assert!(Question::read(&mut &bytes[..length]).await.is_err(), "cut at {length}");
        }
        for position in 0..MAGIC.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x40;
            assert!(Question::read(&mut damaged.as_slice()).await.is_err(), "damaged at {position}");
        }
        let mut huge = bytes.clone();
        huge[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(Question::read(&mut huge.as_slice()).await.is_err());
    }

    #[test]
    fn an_answer_arrives_as_it_was_given_and_nothing_else_is_an_answer() {
        let answer = Answer { accept: true, text: "Portcullis: hello\n".into() };
        let bytes = answer.encode();
        assert_eq!(Answer::read(&mut bytes.as_slice()).unwrap(), answer);
        for length in 0..bytes.len() {
            assert!(Answer::read(&mut &bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(Answer::read(&mut [2u8, 0, 0, 0, 0].as_slice()).is_err());
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_line() {
        let answer = Answer { accept: false, text: "é line\n".repeat(100_000) };
        let read = Answer::read(&mut answer.encode().as_slice()).unwrap();
        assert!(read.text.ends_with("line") && read.text.len() <= MAX_TEXT_BYTES);
    }
}
