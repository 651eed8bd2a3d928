"""The error function, which NumPy does not have: the area under the bell curve, needed by GELU.

Near 0 it is x times a ratio of two polynomials in x²; further out 1 - erf falls like e^(-x²), and what is left after
dividing that out is again a ratio of polynomials (Cody 1969, in the form and with the coefficients of the Cephes
library, Moshier 1989). Accurate to about 1e-15; the tests hold it against `math.erf`.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# highest power first
NEAR_TOP = (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
            5.55923013010394962768e4)
NEAR_BOTTOM = (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
               2.26290000613890934246e4, 4.92673942608635921086e4)
FAR_TOP = (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
           1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
           5.57535335369399327526e2)
FAR_BOTTOM = (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
              9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
              5.57535340817727675546e2)


def erf(x: Array) -> Array:
    """2/√π · the integral of e^(-t²) from 0 to x, element by element."""
    size = np.minimum(np.abs(x), 6)  # beyond 6 it is 1 to the last digit
    inner = size * polynomial(size * size, NEAR_TOP) / polynomial(size * size, NEAR_BOTTOM)
    outer = 1 - np.exp(-size * size) * polynomial(size, FAR_TOP) / polynomial(size, FAR_BOTTOM)
    return np.copysign(np.where(size < 1, inner, outer), x)


def polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's scheme."""
    value = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value *= x
        value += c
    return value
