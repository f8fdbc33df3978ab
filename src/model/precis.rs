//! Names and passwords in any script, so that what a person types is the same text whatever keyboard it comes from:
//! PRECIS (RFC 8264), the profiles `UsernameCaseMapped` (RFC 8265 §3.3) and `OpaqueString` (RFC 8265 §4.2).
//!
//! The properties of characters are derived by the algorithm of RFC 8264 §8 from today's Unicode, not looked up in
//! the registry's tables: those stand still at Unicode 6.3, and letters and emoji that came later would be refused.

use std::borrow::Cow;

use unicode_bidi::{BidiClass, bidi_class};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// `Canonical_Combining_Class` of the marks that take a consonant's vowel away (RFC 5892 appendix A.1).
const VIRAMA: u8 = 9;

/// A character that may not stand where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadCharacter(pub(super) char);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadName {
    /// Nothing is in it.
    Empty,
    /// A character may not be in it, or not there.
    Character(char),
    /// Letters that are written from right to left stand beside others so that it shows in two ways (RFC 5893 §2).
    Direction,
}

/// A password as it is hashed and compared: `OpaqueString` (RFC 8265 §4.2.2).
///
/// # Errors
/// At a character that is not for passwords: one that can't be seen, or that some keyboards leave out.
pub(super) fn password(text: &str) -> Result<String, BadCharacter> {
    allowed(text, Class::Freeform)?;
    let mapped = text.chars().map(|c| if c.general_category() == GeneralCategory::SpaceSeparator { ' ' } else { c });
    Ok(mapped.nfc().collect())
}

/// A name as it is stored and compared: parts with one space between them, each of `UsernameCaseMapped` (RFC 8265
/// §3.3.2, §3.5).
///
/// # Errors
/// The rule that is broken.
pub(super) fn name(text: &str) -> Result<String, BadName> {
    let wide = width_mapped(text);
    let parts: Vec<_> = wide.split(' ').filter(|part| !part.is_empty()).map(part).collect::<Result<_, _>>()?;
    if parts.is_empty() { Err(BadName::Empty) } else { Ok(parts.join(" ")) }
}

fn part(text: &str) -> Result<String, BadName> {
    let mut text: Cow<'_, str> = Cow::Borrowed(text);
    // RFC 8264 §7: the rules are applied until nothing changes, so that a stored name is its own prepared form.
    for _ in 0..3 {
        allowed(&text, Class::Identifier).map_err(|BadCharacter(c)| BadName::Character(c))?;
        let mapped: String = text.to_lowercase().nfc().collect();
        if mapped == text {
            return if reads_one_way(&text) { Ok(mapped) } else { Err(BadName::Direction) };
        }
        text = Cow::Owned(mapped);
    }
    Err(text.chars().next().map_or(BadName::Empty, BadName::Character))
}

/// RFC 8265 §3.3.2: fullwidth and halfwidth characters as what they are wide or narrow forms of.
fn width_mapped(text: &str) -> Cow<'_, str> {
    // The macron alone would become a space with a mark on it; it is refused for what it stands for.
    let has_width = |c: char| matches!(c, '\u{3000}' | '\u{ff01}'..='\u{ffe2}' | '\u{ffe4}'..='\u{ffee}');
    if !text.contains(has_width) {
        return Cow::Borrowed(text);
    }
    let mut mapped = String::with_capacity(text.len());
    for c in text.chars() {
        if has_width(c) { mapped.extend(std::iter::once(c).nfkd()) } else { mapped.push(c) }
    }
    Cow::Owned(mapped)
}

/// The two classes of texts (RFC 8264 §4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Identifier,
    Freeform,
}

/// RFC 8264 §8, in its order. Of the rules for characters that are lawful in certain surroundings only (RFC 5892
/// appendix A), passwords need those for joiners, which can't be seen; the others keep names from looking like
/// others. One rule is left out: a joiner between letters of joined scripts without a virama before it (half of A.1),
/// which takes tables of its own. Such a name or password is written without it.
fn allowed(text: &str, class: Class) -> Result<(), BadCharacter> {
    use GeneralCategory as G;
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        let free = class == Class::Freeform;
        let lawful = match c {
            // RFC 5892 §2.6, exceptions.
            // RFC 8264 §9.11: printable ASCII.
            'ß' | 'ς' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' | '\u{21}'..='\u{7e}' => true,
            '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => false,
            // RFC 5892 appendix A.3 to A.9.
            '·' => free || (before == Some('l') && after == Some('l')),
            '\u{375}' => free || after.is_some_and(|c| matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')),
            '\u{5f3}' | '\u{5f4}' => free || before.is_some_and(|c| matches!(c, '\u{591}'..='\u{5f4}')),
            '\u{30fb}' => free || text.chars().any(is_japanese),
            '\u{660}'..='\u{669}' => free || !text.chars().any(|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
            '\u{6f0}'..='\u{6f9}' => free || !text.chars().any(|c| matches!(c, '\u{660}'..='\u{669}')),
            '\u{200c}' | '\u{200d}' => before.is_some_and(|c| canonical_combining_class(c) == VIRAMA),
            _ if is_ignorable(c) || is_old_hangul(c) => false,
            _ => match c.general_category() {
                G::Unassigned
                | G::Control
                | G::Format
                | G::Surrogate
                | G::PrivateUse
                | G::LineSeparator
                | G::ParagraphSeparator => false,
                G::LowercaseLetter
                | G::UppercaseLetter
                | G::OtherLetter
                | G::ModifierLetter
                | G::DecimalNumber
                | G::NonspacingMark
                | G::SpacingMark => free || !has_compatible(c),
                G::TitlecaseLetter
                | G::EnclosingMark
                | G::LetterNumber
                | G::OtherNumber
                | G::ConnectorPunctuation
                | G::DashPunctuation
                | G::OpenPunctuation
                | G::ClosePunctuation
                | G::InitialPunctuation
                | G::FinalPunctuation
                | G::OtherPunctuation
                | G::MathSymbol
                | G::CurrencySymbol
                | G::ModifierSymbol
                | G::OtherSymbol
                | G::SpaceSeparator => free,
            },
        };
        if !lawful {
            return Err(BadCharacter(c));
        }
        before = Some(c);
    }
    Ok(())
}

/// RFC 8264 §9.17: another character stands for the same.
fn has_compatible(c: char) -> bool {
    !std::iter::once(c).nfkc().eq(std::iter::once(c))
}

/// RFC 8264 §9.9: letters of which syllables were once put together.
const fn is_old_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7c6}' | '\u{d7cb}'..='\u{d7fb}')
}

/// `Default_Ignorable_Code_Point` (UAX 44), which RFC 8264 §9.13 forbids: nothing of them is seen.
const fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Hiragana, Katakana or Han, as RFC 5892 appendix A.7 asks.
const fn is_japanese(c: char) -> bool {
    matches!(c, '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fd}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The Bidi Rule (RFC 5893 §2), which RFC 8265 §3.3.2 asks of names with letters that are written from right to left.
fn reads_one_way(text: &str) -> bool {
    use BidiClass as B;
    let classes: Vec<BidiClass> = text.chars().map(bidi_class).collect();
    let has = |class| classes.contains(&class);
    if !(has(B::R) || has(B::AL) || has(B::AN)) {
        return true;
    }
    // A text with such a letter that begins with another breaks the fifth condition.
    let begins = matches!(classes.first(), Some(B::R | B::AL));
    let ends = classes.iter().rev().find(|class| **class != B::NSM);
    let ends = matches!(ends, Some(B::R | B::AL | B::EN | B::AN));
    let only = classes
        .iter()
        .all(|class| matches!(class, B::R | B::AL | B::AN | B::EN | B::ES | B::CS | B::ET | B::ON | B::BN | B::NSM));
    begins && ends && only && !(has(B::EN) && has(B::AN))
}
