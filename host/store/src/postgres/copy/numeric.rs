//! Decimals as PostgreSQL's binary `numeric`: digits of base 10,000, the most significant first, the power of 10,000
//! that the first one stands for, a sign, and how many decimal digits are shown after the point.

/// Digits of base 10,000 that 38 decimal digits take at most: the point may cut two of them.
const MAX_DIGITS: usize = 11;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;

/// Append the field of a decimal, its length first.
pub(super) fn encode(out: &mut Vec<u8>, value: i128, scale: u8) {
    let unit = 10_u128.pow(u32::from(scale));
    let (mut whole, mut fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    // The least significant digit first.
    let mut digits = [0_u16; MAX_DIGITS];
    let mut count = 0;
    let mut push = |digit: u128| {
        // A digit is below 10,000, and there are never more of them than places.
        if let Some(place) = digits.get_mut(count) {
            *place = u16::try_from(digit).unwrap_or_default();
        }
        count += 1;
    };
    let rest = u32::from(scale % 4);
    if rest > 0 {
        push(fraction % 10_u128.pow(rest) * 10_u128.pow(4 - rest));
        fraction /= 10_u128.pow(rest);
    }
    for _ in 0..scale / 4 {
        push(fraction % 10_000);
        fraction /= 10_000;
    }
    let mut weight: i16 = -1;
    while whole > 0 {
        push(whole % 10_000);
        whole /= 10_000;
        weight += 1;
    }
    let digits = digits.get(..count).unwrap_or(&digits);
    let leading = digits.iter().rev().take_while(|digit| **digit == 0).count();
    let trailing = digits.iter().take_while(|digit| **digit == 0).count();
    let significant = digits.get(trailing..digits.len() - leading).unwrap_or_default();
    let sign = if value < 0 { NEGATIVE } else { POSITIVE };
    // At most eleven of them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    let (stored, skipped) = (significant.len() as u16, leading as i16);
    let weight = if stored == 0 { 0 } else { weight - skipped };
    out.extend_from_slice(&(8 + 2 * u32::from(stored)).to_be_bytes());
    out.extend_from_slice(&stored.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&u16::from(scale).to_be_bytes());
    for digit in significant.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// The value of a field, scaled by ten to the power `scale`.
pub(super) fn decode(field: &[u8], scale: u8) -> Result<i128, String> {
    let number = |at: usize| {
        let bytes = field.get(2 * at..2 * at + 2).ok_or("a numeric is cut off")?;
        Ok::<_, String>(bytes.try_into().map_or(0, u16::from_be_bytes))
    };
    let (digits, weight, sign) = (usize::from(number(0)?), number(1)?.cast_signed(), number(2)?);
    if sign >= NAN {
        return Err("a numeric is no number (NaN or an infinity)".to_owned());
    }
    if sign != POSITIVE && sign != NEGATIVE {
        return Err(format!("a numeric has the sign {sign:#06x}"));
    }
    if field.len() != 8 + 2 * digits {
        return Err(format!("a numeric of {digits} digits takes {} bytes", field.len()));
    }
    let too_large = || format!("a numeric does not fit 38 digits, {scale} of them after the point");
    let mut value = 0_i128;
    for at in 0..digits {
        let digit = i128::from(number(4 + at)?);
        if digit >= 10_000 {
            return Err(format!("a numeric has the digit {digit}"));
        }
        if digit == 0 {
            continue;
        }
        let place = i64::from(weight) - i64::try_from(at).map_err(|_| too_large())?;
        let power = 4 * place + i64::from(scale);
        let part = if power >= 0 {
            let power = u32::try_from(power).ok().and_then(|power| 10_i128.checked_pow(power));
            power.and_then(|power| digit.checked_mul(power)).ok_or_else(too_large)?
        } else {
            // Digits behind the scale: PostgreSQL rounds to the scale of the column, so that there are none.
            let unit = u32::try_from(-power).ok().filter(|power| *power < 4).map(|power| 10_i128.pow(power));
            let unit = unit.filter(|unit| digit % unit == 0);
            digit / unit.ok_or_else(|| format!("a numeric has more than {scale} digits after the point"))?
        };
        value = value.checked_add(part).ok_or_else(too_large)?;
    }
    Ok(if sign == NEGATIVE { -value } else { value })
}

/// The text of a field, with as many digits after the point as PostgreSQL shows; None when it is no numeric.
pub(in crate::postgres) fn text(field: &[u8]) -> Option<String> {
    let mut numbers = field.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight) = (usize::from(numbers.next()?), i64::from(numbers.next()?.cast_signed()));
    let (sign, scale) = (numbers.next()?, usize::from(numbers.next()?));
    match sign {
        POSITIVE | NEGATIVE => {}
        NAN => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    let digits: Vec<u16> = numbers.collect();
    if digits.len() != count {
        return None;
    }
    // The digit of a power of 10,000.
    let digit = |power: i64| {
        usize::try_from(weight - power).ok().and_then(|at| digits.get(at)).copied().unwrap_or_default()
    };
    let groups_of = |powers: &mut dyn Iterator<Item = i64>| {
        powers.map(|power| format!("{:04}", digit(power))).collect::<Vec<_>>().concat()
    };
    let whole = groups_of(&mut (0..=weight.max(0)).rev());
    let whole = whole.trim_start_matches('0');
    let groups = i64::try_from(scale.div_ceil(4)).ok()?;
    let mut fraction = groups_of(&mut (1..=groups).map(|power| -power));
    fraction.truncate(scale);
    let sign = if sign == NEGATIVE { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}
