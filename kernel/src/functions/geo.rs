//! Places on Earth (`onefold.language.scalars.geo`): the same steps in the same order, by the same mathematical library.

use super::{Given, number_of};
use crate::value::Value;

const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Kilometres between two places, given in degrees.
pub fn distance(given: &Given<'_>) -> Value {
    let degrees = |place: usize, most: f64| number_of(&given[place]).filter(|degrees| (-most..=most).contains(degrees));
    match (degrees(0, 90.0), degrees(1, 180.0), degrees(2, 90.0), degrees(3, 180.0)) {
        (Some(latitude), Some(longitude), Some(other_latitude), Some(other_longitude)) => {
            Value::Float(haversine((latitude, longitude), (other_latitude, other_longitude)))
        }
        _ => Value::Null,
    }
}

fn haversine(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (a, b) = (radians(one.0), radians(other.0));
    let across = (radians(other.1 - one.1) / 2.0).sin();
    let along = ((b - a) / 2.0).sin();
    let chord = (along * along + a.cos() * b.cos() * across * across).sqrt();
    2.0 * EARTH_RADIUS_KM * chord.min(1.0).asin()
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}
