"""What all backends agree on about numbers at the ends of float64."""

# Stands in for a log potential of minus infinity. It is finite, so that 0 * FORBIDDEN is 0 and no
# gradient is ever NaN; so low that exp() of any difference is exactly 0; and not so low that the
# sum over a sentence would overflow float32.
FORBIDDEN = -1e30
# A sum of log potentials below this contains a forbidden one, even divided by a temperature.
IMPOSSIBLE = FORBIDDEN * 1e-6

# Numbers below this may have lost digits at the end of the range of float64.
SMALLEST_SCALE = 1e-290
# So may products of messages below this.
SMALLEST_PRODUCT = 1e-200
