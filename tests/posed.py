"""One frame of motion, said in words."""

from visavis.types import ARKIT_NAMES, Motion


def motion(rotation=(0, 0, 0), **coefficients):
    one = Motion.rest(1)
    one.rotation[0] = rotation
    for name, value in coefficients.items():
        one.coefficients[0, ARKIT_NAMES.index(name)] = value
    return one
