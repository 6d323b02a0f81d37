"""Places on Earth."""

from math import asin, cos, radians, sin, sqrt
from typing import Any

from onefold.language.values import NUMBERS

EARTH_RADIUS_KM = 6371.0088
"""The mean radius (IUGG)."""


def distance(latitude: Any, longitude: Any, other_latitude: Any, other_longitude: Any) -> float | None:
    """Kilometres between two places, given in degrees, on a sphere of EARTH_RADIUS_KM (the haversine formula).

    Missing where a latitude is not within ±90 or a longitude not within ±180. Against the ellipsoid the error is
    below 0.6 %.
    """
    for degrees, most in ((latitude, 90), (longitude, 180), (other_latitude, 90), (other_longitude, 180)):
        if type(degrees) not in NUMBERS or not -most <= degrees <= most:
            return None
    a, b = radians(latitude), radians(other_latitude)
    across = sin(radians(other_longitude - longitude) / 2)
    along = sin((b - a) / 2)
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(along * along + cos(a) * cos(b) * across * across)))
