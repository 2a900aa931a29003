//! Byte-level pieces of the field grammar (RFC 9110 §5.6), shared by every parser of this crate.

/// A decimal number of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decimal {
    Exact(u64),
    /// More than `u64::MAX`.
    TooLarge,
}

impl Decimal {
    /// The number, or the largest position there is: for a server both mean "past every byte".
    pub(crate) const fn saturated(self) -> u64 {
        match self {
            Self::Exact(number) => number,
            Self::TooLarge => u64::MAX,
        }
    }

    pub(crate) const fn exact(self) -> Option<u64> {
        match self {
            Self::Exact(number) => Some(number),
            Self::TooLarge => None,
        }
    }
}

/// `1*DIGIT` and what follows it; `None` if no digit stands first.
#[inline]
pub(crate) fn take_decimal(input: &[u8]) -> Option<(Decimal, &[u8])> {
    let (mut number, mut rest) = take_eight_digits(input);
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = after;
    }
    match input.len() - rest.len() {
        0 => None,
        length if length <= NEVER_TOO_LARGE => Some((Decimal::Exact(number), rest)),
        _ => take_long_decimal(input),
    }
}

/// Up to eight digits at once, where eight bytes are left: the number of a long set is mostly spent on its digits.
#[inline]
fn take_eight_digits(input: &[u8]) -> (u64, &[u8]) {
    let Some(bytes) = input.first_chunk() else { return (0, input) };
    // A digit becomes its value. What is more than nine, or was no ASCII, gets the top bit; the sum carries only past
    // such a byte, and only the first of them counts.
    let values = u64::from_le_bytes(*bytes) ^ (EACH * 0x30);
    let others = (values.wrapping_add(EACH * 0x76) | values) & (EACH * 0x80);
    let length = (others.trailing_zeros() / 8) as usize;
    if length == 0 {
        return (0, input);
    }
    // Move the last digit to the last byte, zeros before the first; then join neighbours: pairs, fours, eight.
    let digits = values << (64 - 8 * length);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    (eight, &input[length..])
}

/// One in every byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// As [`take_decimal`], for numbers that may be too large. Leading zeros make them long, not large.
#[cold]
fn take_long_decimal(input: &[u8]) -> Option<(Decimal, &[u8])> {
    let length = input.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(input.len());
    let number = input[..length]
        .iter()
        .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    Some((number.map_or(Decimal::TooLarge, Decimal::Exact), &input[length..]))
}

/// Every number of so many digits is below 2^64.
const NEVER_TOO_LARGE: usize = 19;

/// `OWS` removed on both sides.
pub(crate) fn trim_ows(input: &[u8]) -> &[u8] {
    let mut input = trim_ows_start(input);
    while let [rest @ .., b' ' | b'\t'] = input {
        input = rest;
    }
    input
}

/// `OWS` removed before the rest. For loops over a list: trimming the end of the whole rest each time is quadratic.
#[inline]
pub(crate) fn trim_ows_start(mut input: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = input {
        input = rest;
    }
    input
}

/// `tchar`
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// `token`
pub(crate) fn is_token(input: &[u8]) -> bool {
    !input.is_empty() && input.iter().all(|byte| is_token_byte(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_any_length_are_read() {
        assert_eq!(take_decimal(b"18446744073709551615-"), Some((Decimal::Exact(u64::MAX), &b"-"[..])));
        assert_eq!(take_decimal(b"18446744073709551616"), Some((Decimal::TooLarge, &b""[..])));
        assert_eq!(take_decimal(b"0000000000000000000000000000007x"), Some((Decimal::Exact(7), &b"x"[..])));
        for refused in [&b""[..], b"-1", b"+1", b" 1", "²".as_bytes()] {
            assert_eq!(take_decimal(refused), None);
        }
    }

    #[test]
    fn every_number_of_digits_is_read_whatever_follows() {
        for length in 0..=20 {
            for after in ["", "-", ",12345678", "-12345678", "x1", "/", ":", "\u{e9}1234567", " 9999999999"] {
                let digits = &"12345678901234567890"[..length];
                let input = std::format!("{digits}{after}");
                let expected = digits.parse().ok().map(|number| (Decimal::Exact(number), after.as_bytes()));
                assert_eq!(take_decimal(input.as_bytes()), expected, "{input}");
            }
        }
        for byte in 0..=u8::MAX {
            let input = [b'4', b'2', byte, b'0', b'0', b'0', b'0', b'0', b'0'];
            let (number, rest) = take_decimal(&input).unwrap();
            if !byte.is_ascii_digit() {
                assert_eq!((number, rest), (Decimal::Exact(42), &input[2..]), "{byte:#x}");
            }
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        assert_eq!(trim_ows(b"\x0ba\n"), b"\x0ba\n");
    }
}
