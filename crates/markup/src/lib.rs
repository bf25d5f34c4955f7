//! Text that people wrote, as HTML that may stand on a page.
//!
//! [`markdown`] renders what is written in Markdown, with [`references`] such as `#12` as links where that is wanted; [`code`]
//! colours lines of source code. Both take any text from anybody:
//! what they return has no script, no style, nothing that asks another host, and ends in bounded time. They know nothing of
//! projects or repositories; where links lead is told to them.

pub mod code;
pub mod markdown;
pub mod references;

/// Writes a text into HTML, where it is shown as it stands.
pub fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            other => into.push(other),
        }
    }
}
