//! Names of uploaded files: whatever a client calls a file, what is kept of it can stand in an address, in Markdown and in a
//! header.

/// The longest name, in bytes: what file systems take, so that a download can be saved under it.
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// How many bytes of an extension are kept when a name is cut.
const MAX_EXTENSION_BYTES: usize = 20;

/// How many characters of a secret there are: 128 random bits in hexadecimal digits.
const SECRET_CHARACTERS: usize = 32;

/// The extensions of pictures that every browser shows without running anything, with their content types.
const PICTURES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("tiff", "image/tiff"),
    ("ico", "image/vnd.microsoft.icon"),
    ("webp", "image/webp"),
];

/// The extensions of what a text shows in place, though it is not served that way.
const EMBEDDED: &[&str] = &["svg", "mp4", "m4v", "mov", "webm", "ogv", "mp3", "oga", "ogg", "spx", "wav"];

/// The name of an uploaded file: letters, digits, `_`, `-`, `.` and `+`, and no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// Returns what is kept of the name that a client gives a file: its last component, in which everything else is
    /// replaced by `_`.
    pub fn sanitized(text: &str) -> FileName {
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let kept = |character: char| {
            let plain = character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '+');
            if plain { character } else { '_' }
        };
        let mut name: String = last.chars().map(kept).collect();
        if name.is_empty() {
            name = "unnamed".to_owned();
        }
        // A name of dots alone would be a folder.
        if name.bytes().all(|byte| byte == b'.') {
            name.insert(0, '_');
        }
        FileName(cut(name))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns how Markdown calls the file: a picture without its extension.
    pub fn alt(&self) -> &str {
        if self.is_embedded() { self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem) } else { &self.0 }
    }

    /// Returns whether a text shows the file in place, and does not only link it.
    pub fn is_embedded(&self) -> bool {
        picture(&self.0).is_some() || extension(&self.0).is_some_and(|own| EMBEDDED.contains(&own.as_str()))
    }
}

/// Returns a name of at most [`MAX_FILE_NAME_BYTES`], with its extension.
fn cut(name: String) -> String {
    if name.len() <= MAX_FILE_NAME_BYTES {
        return name;
    }
    let extension = match name.rsplit_once('.') {
        Some((_, extension)) if extension.len() <= MAX_EXTENSION_BYTES => format!(".{extension}"),
        _ => String::new(),
    };
    let mut end = MAX_FILE_NAME_BYTES - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

fn extension(name: &str) -> Option<String> {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())
}

/// Returns the content type of a file that a browser may show in place: a picture that cannot hold a script. A file that is
/// something else and only called so is not shown, because nothing is guessed from its bytes.
pub fn picture(name: &str) -> Option<&'static str> {
    let own = extension(name)?;
    PICTURES.iter().find(|(known, _)| *known == own).map(|(_, kind)| *kind)
}

/// Returns the text of a secret, the part of an upload's address that cannot be foreseen, from 16 random bytes.
pub fn secret_from(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether a text has the form of such a secret.
pub fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARACTERS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_name_is_plain() {
        for (text, name) in [
            ("a.png", "a.png"),
            ("C:\\fake\\a b.png", "a_b.png"),
            ("../../etc/passwd", "passwd"),
            ("", "unnamed"),
            ("a/", "unnamed"),
            ("..", "_.."),
            (".bashrc", ".bashrc"),
            ("ünï+1.txt", "ünï+1.txt"),
            ("a\"b\r\nc;d]e(f)<g>\u{202e}\0", "a_b__c_d_e_f__g___"),
        ] {
            assert_eq!(FileName::sanitized(text).as_str(), name, "{text:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = FileName::sanitized(&format!("{}.tar.gz", "ü".repeat(300)));
        assert!(long.as_str().len() <= MAX_FILE_NAME_BYTES && long.as_str().ends_with("ü.gz"));
        let without = FileName::sanitized(&format!("a.{}", "b".repeat(300)));
        assert_eq!(without.as_str().len(), MAX_FILE_NAME_BYTES);
    }

    #[test]
    fn only_harmless_pictures_are_shown_in_place() {
        assert_eq!(picture("a.PNG"), Some("image/png"));
        for name in ["a.svg", "a.html", "a.xml", "png", "a.png.html", "a.pdf"] {
            assert_eq!(picture(name), None, "{name}");
        }
        assert_eq!(FileName::sanitized("dir/shot.PNG").alt(), "shot");
        assert_eq!(FileName::sanitized("notes.txt").alt(), "notes.txt");
        assert!(FileName::sanitized("a.svg").is_embedded() && !FileName::sanitized("a.txt").is_embedded());
    }

    #[test]
    fn a_secret_has_one_form() {
        let secret = secret_from([0x0a; 16]);
        assert!(is_secret(&secret));
        for text in ["", &secret[1..], &secret.to_uppercase(), &format!("{secret}0")] {
            assert!(!is_secret(text), "{text}");
        }
    }
}
