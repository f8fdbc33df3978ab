//! Text that people read, from people and programs that may want them to misread it.

/// Whether a character can't be seen or turns the writing direction, so that a text could show otherwise than it reads.
/// Joiners are not among them: scripts and emoji need them (U+200C, U+200D).
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text without what can't be seen, and without blanks around it.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect::<String>().trim().to_owned()
}

/// What strangers write goes to a terminal: no control characters, no novels.
#[must_use]
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 160;
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    short
}
