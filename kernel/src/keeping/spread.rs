//! `stddev`: exact sums of the numbers and of their squares, so that order never matters, and one rounding at the end.

use std::borrow::Cow;

use num_bigint::{BigInt, Sign};
use smallvec::SmallVec;

use super::At;
use super::monoid::{Asked, Kept, Monoid, together};
use super::numbers::Number;
use super::totals::{Total, halves};
use crate::msgpack::{Reader, write_list};
use crate::value::Value;
use crate::{Beyond, Here};

/// A larger number does not count, so that the sum of the squares of any number of events fits a double.
const SQUARED_MAX: f64 = 1e140;
/// 2^27 + 1: splits a double into two halves of at most 26 bits (Dekker 1971), whose products are exact.
const HALVES: f64 = 134_217_729.0;
/// The square of a smaller number is below 1e-280, and counts as 0.
const SPLIT_MIN: f64 = 1e-140;
const INT_MAX: i128 = 1 << 62;

/// Totals of the numbers and of their squares.
#[derive(Clone, Debug)]
pub struct Spread {
    numbers: Total,
    squares: Total,
}

impl Spread {
    fn of(number: Number) -> Option<Spread> {
        if !(-SQUARED_MAX..=SQUARED_MAX).contains(&number.double()) {
            return None;
        }
        Some(Spread { numbers: Total::of(number)?, squares: squared(number) })
    }

    /// The standard deviation of the whole population; `None` of nobody.
    fn deviation(&self) -> Option<f64> {
        let many = self.numbers.many;
        if many <= 0 {
            return None;
        }
        let ((sum, sum_shift), (squares, squares_shift)) = (whole(&self.numbers), whole(&self.squares));
        // n² · variance = n · Σx² - (Σx)², over a common power of two
        let shift = squares_shift.max(2 * sum_shift);
        let scaled: BigInt = ((squares * many) << (shift - squares_shift)) - (sum.pow(2) << (shift - 2 * sum_shift));
        let bottom = (BigInt::from(many) * many) << shift;
        Some(if scaled.sign() == Sign::Plus { root(&scaled, &bottom) } else { 0.0 })
    }
}

#[allow(clippy::cast_possible_truncation)] // what is smaller than 2^62 fits
fn squared(number: Number) -> Total {
    let (int, parts) = match number {
        Number::Int(int) => {
            let square = i128::from(int) * i128::from(int);
            let (low, high) = halves(square);
            if square < INT_MAX { (square as i64, SmallVec::new()) } else { (0, [low, high].into()) }
        }
        Number::Float(x) if x.abs() < SPLIT_MIN => (0, [0.0].as_slice().into()),
        Number::Float(x) => (0, square(x).into()),
    };
    Total { many: 1, int, parts }
}

/// Doubles whose exact sum is the square of x (Dekker's product), the smaller first.
fn square(x: f64) -> [f64; 2] {
    let big = HALVES * x;
    let high = big - (big - x);
    let low = x - high;
    let square = x * x;
    [low * low - ((square - high * high) - 2.0 * high * low), square]
}

/// (m, k) so that the exact sum of a total is m / 2^k.
fn whole(total: &Total) -> (BigInt, i64) {
    let parts = || total.parts.iter().filter(|part| **part != 0.0).map(|part| taken_apart(*part));
    let shift = parts().map(|(_, exponent, bits)| (53 - exponent - bits).max(0)).max().unwrap_or(0);
    let sum = parts().fold(BigInt::from(total.int) << shift, |sum, (digits, exponent, _)| {
        let part = BigInt::from(digits);
        sum + if shift + exponent >= 0 { part << (shift + exponent) } else { part >> -(shift + exponent) }
    });
    (sum, shift)
}

/// (m, e, how many bits m has) so that a double is m · 2^e.
fn taken_apart(number: f64) -> (i64, i64, i64) {
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff).cast_signed(), (bits & ((1 << 52) - 1)).cast_signed());
    let (digits, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let size = i64::from(64 - digits.leading_zeros());
    (if number < 0.0 { -digits } else { digits }, exponent, size)
}

/// The square root of a fraction, correctly rounded (as Python's `statistics` has it since 3.11).
#[allow(clippy::cast_precision_loss)] // rounded here, once
fn root(top: &BigInt, bottom: &BigInt) -> f64 {
    let bits = |number: &BigInt| i64::try_from(number.bits()).unwrap_or(i64::MAX);
    let spare = (bits(top) - bits(bottom) - 109).div_euclid(2);
    let found =
        if spare >= 0 { whole_root(top, &(bottom << (2 * spare))) } else { whole_root(&(top << (-2 * spare)), bottom) };
    let exponent = i32::try_from(spare).unwrap_or(0);
    u64::try_from(found).unwrap_or(u64::MAX) as f64 * 2_f64.powi(exponent)
}

/// The root rounded down, its last bit set where it is not exact.
fn whole_root(top: &BigInt, bottom: &BigInt) -> BigInt {
    let root = (top / bottom).sqrt();
    let exact = &root * &root * bottom == *top;
    root | BigInt::from(u8::from(!exact))
}

impl Kept for Spread {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        self.numbers.write(out);
        self.squares.write(out);
    }
}

/// The monoid of `stddev`.
pub struct Deviation;

impl Monoid for Deviation {
    type Kept = Spread;
    type States = Vec<Spread>;

    const RUNNING: bool = true;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Spread> {
        Number::of(given).and_then(Spread::of)
    }

    fn combine(&self, kept: &mut Spread, more: Spread) {
        kept.numbers.combine(&more.numbers);
        kept.squares.combine(&more.squares);
    }

    fn remove(&self, kept: &mut Spread, gone: &Spread) {
        kept.numbers.remove(&gone.numbers);
        kept.squares.remove(&gone.squares);
    }

    fn total<'a>(&self, states: &'a [Spread]) -> Option<Cow<'a, Spread>> {
        together(states, |total, state| {
            total.numbers.combine(&state.numbers);
            total.squares.combine(&state.squares);
        })
    }

    fn result(&self, kept: Option<&Spread>, _asked: Asked<'_>) -> Value {
        kept.and_then(Spread::deviation).map_or(Value::Null, Value::Float)
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Spread> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        Ok(Spread { numbers: Total::read(stored)?, squares: Total::read(stored)? })
    }
}
