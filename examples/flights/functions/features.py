"""Features that SQL calls by name. Each gets whole columns as NumPy arrays and returns one."""

import numpy as np
from windlass import udf

EARTH_RADIUS_KM = 6371.0088


@udf(returns="double", args={"lat1": "double", "lon1": "double", "lat2": "double", "lon2": "double"})
def great_circle_km(lat1, lon1, lat2, lon2):
    """Distance along the surface between two places in degrees, in km (haversine formula)."""
    lat1, lon1, lat2, lon2 = (np.radians(degrees) for degrees in (lat1, lon1, lat2, lon2))
    chord = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord))


@udf(returns="double", args={"value": "double", "period": "double"})
def cyclic_sin(value, period):
    """Sine of a value on a circle, so that hour 23 lies beside hour 0."""
    return np.sin(2 * np.pi * value / period)


@udf(returns="double", args={"value": "double", "period": "double"})
def cyclic_cos(value, period):
    """Cosine of a value on a circle."""
    return np.cos(2 * np.pi * value / period)


@udf(returns="double", args={"temp_f": "double", "wind_mph": "double"})
def wind_chill_f(temp_f, wind_mph):
    """What a temperature in wind feels like, in Fahrenheit (US National Weather Service, 2001).

    The formula holds up to 50 F and from 3 mph; elsewhere it is the temperature itself.
    """
    power = np.maximum(wind_mph, 0.0) ** 0.16
    chill = 35.74 + 0.6215 * temp_f - 35.75 * power + 0.4275 * temp_f * power
    return np.where((temp_f <= 50) & (wind_mph > 3), chill, temp_f)
