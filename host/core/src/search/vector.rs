//! Vectors of texts.

/// How close two vectors point: 1 the same way, 0 nothing in common (or one is zero, or of another dimension), never below.
///
/// Summed up in double precision in the order of the dimensions: the same on every machine.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    cosine_of((a, length(a)), (b, length(b)))
}

/// The same of vectors whose lengths are known.
pub(super) fn cosine_of((a, of_a): (&[f32], f64), (b, of_b): (&[f32], f64)) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let cosine = dot(a, b) / (of_a * of_b);
    // Not a number where one is zero.
    if cosine.is_finite() { cosine.clamp(0.0, 1.0) } else { 0.0 }
}

/// The length of a vector.
pub(super) fn length(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + f64::from(*a) * f64::from(*b))
}

/// A vector as databases keep it: each number in four bytes, the lowest first.
pub fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The same back; None when the bytes are no vector of finite numbers.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    (rest.is_empty() && vector.iter().all(|number| number.is_finite())).then_some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_between_zero_and_one() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        close(cosine(&[1.0, 2.0], &[2.0, 4.0]), 1.0);
        close(cosine(&[1.0, 0.0], &[1.0, 1.0]), 0.5_f64.sqrt());
        close(cosine(&[1.0, 0.0], &[-1.0, 0.0]), 0.0);
        close(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        close(cosine(&[1.0], &[1.0, 0.0]), 0.0);
        close(cosine(&[f32::MAX, 1.0], &[f32::MAX, 1.0]), 1.0);
    }

    #[test]
    fn vectors_come_back_as_they_were() {
        let vector = [0.25, -1e-30, f32::MAX];
        assert_eq!(from_bytes(&to_bytes(&vector)).unwrap(), vector);
        assert_eq!(from_bytes(&[0, 0, 0]), None);
        assert_eq!(from_bytes(&f32::NAN.to_le_bytes()), None);
    }
}
