//! Base32 in lower case without padding (RFC 4648 §6): ids and cursors that survive URLs, shells and
//! case-folding file systems.

/// Writes all bits of `bytes`, five to a character; the last character is filled up with zero bits.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for &byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(symbol(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(symbol(held << (5 - bits)));
    }
    text
}

/// Reads what [`encode`] wrote; `None` for anything else, left-over bits that are not zero included.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for symbol in text.bytes() {
        held = (held << 5) | value(symbol)?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).expect("eight bits are left after the mask"));
            held &= (1 << bits) - 1;
        }
    }
    // One spelling for each value: a cursor or an id cannot be written in two ways.
    (bits < 5 && held == 0).then_some(bytes)
}

/// Whether every character is one that [`encode`] writes.
pub(super) fn is_encoded(text: &str) -> bool {
    text.bytes().all(|symbol| value(symbol).is_some())
}

fn symbol(bits: u32) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

fn value(symbol: u8) -> Option<u32> {
    match symbol {
        b'a'..=b'z' => Some(u32::from(symbol - b'a')),
        b'2'..=b'7' => Some(u32::from(symbol - b'2') + 26),
        _ => None,
    }
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold_in_lower_case_without_padding() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
    }

    #[test]
    fn text_that_was_never_written_is_refused() {
        for (text, because) in [
            ("MY", "upper case is another spelling"),
            ("m1", "1 is not in the alphabet"),
            ("mz", "left-over bits are not zero"),
            ("m", "five bits make no byte"),
            ("my======", "padding is not written"),
        ] {
            assert_eq!(decode(text), None, "{text}: {because}");
        }
    }
}
