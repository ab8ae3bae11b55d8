/* The error of every function of math.inc.h, measured in a wider type: REAL, whose function f is
 * REAL_(f). Included behind unit.inc.h; CASES names the table to make. */
#if !defined REAL || !defined CASES
#error "math_error.inc.h: define REAL, REAL_ and CASES"
#endif

/* A name of this inclusion's own. */
#define OWN(word) PASTE(word, CASES)

/* `difference` in units in the last place of `exact`, as T has them. */
static double OWN(in_ulps_)(REAL difference, REAL exact)
{
    int e = ilogb((double)exact), least = 1 - EXPONENT_BIAS;
    if (e < least)
        e = least;
    else if (REAL_(ldexp)(1, e) > REAL_(fabs)(exact))
        e--;                                       /* rounded up to a power of two */
    return (double)REAL_(fabs)(REAL_(ldexp)(difference, (IS_DOUBLE ? 52 : 23) - e));
}

/* e^x * 2^-shift. The first two pieces of ln2 are short: their products with m are exact. */
static REAL OWN(exact_exp_)(double x, double shift)
{
    static const double ln2[] = {0x1.62e42cp-1, 0x1.f7d1ccp-24, 0x1.bcd5e4f1d9ccp-47,
                                 0x1.f97b57a079a19p-103};
    double m = nearbyint(x * LOG2E_f64);
    REAL r = x;
    for (int i = 0; i < COUNT(ln2); i++)
        r -= (REAL)m * ln2[i];
    return REAL_(ldexp)(REAL_(exp)(r), (int)(m - shift));
}

/* 0 as long as the result stays clear of the subnormal numbers, then what x has in a row alone. Any
 * other exponent changes the result by a power of two, exactly. */
static T OWN(exponent_for_)(double x)
{
    return (IS_DOUBLE ? -700 : -109) < x && x < 0.35 ? 0 : (T)nearbyint(x * LOG2E_f64);
}

static double OWN(exp_scaled_error_)(double x, double low)
{
    (void)low;
    T exponent = OWN(exponent_for_)(x), y = exp_scaled((T)x, exp_range(exponent));
    REAL exact = OWN(exact_exp_)(x, exponent - BIAS);
    return OWN(in_ulps_)(y - exact, exact);
}

static double OWN(exp_negative_error_)(double a, double low)
{
    (void)low;
    REAL exact = OWN(exact_exp_)(-a, 0);
    return OWN(in_ulps_)(exp_negative((T)a) - exact, exact);
}

static double OWN(exp_near_error_)(double a, double low)
{
    (void)low;
    REAL exact = OWN(exact_exp_)(-a, 0);
    return OWN(in_ulps_)(exp_near((T)a) - exact, exact);
}

static double OWN(log1p_unit_error_)(double v, double low)
{
    (void)low;
    REAL exact = REAL_(log1p)(v);
    return OWN(in_ulps_)(log1p_unit((T)v) - exact, exact);
}

static double OWN(tanh_lanes_error_)(double x, double low)
{
    (void)low;
    REAL exact = REAL_(tanh)(x);
    return OWN(in_ulps_)(tanh_lanes((T)x) - exact, exact);
}

#if IS_DOUBLE
/* Relative to the result, in units of 2^-53. */
static double OWN(exp_pair_error_)(double x, double low)
{
    double exponent = OWN(exponent_for_)(x), y = exp_pair(x, exp_range(exponent), &low);
    REAL exact = OWN(exact_exp_)(x, exponent - BIAS);
    return (double)REAL_(fabs)(((y - exact) + low) / exact) * 0x1p53;
}

static double OWN(log1p_pair_error_)(double v, double low)
{
    REAL exact = REAL_(log1p)((REAL)v + low);
    vec lost;
    return OWN(in_ulps_)(log1p_pair(v, low, &lost) - exact, exact);
}
#endif

const struct math_case CASES[] = {
    {"exp_scaled", OWN(exp_scaled_error_), -RANGE, RANGE},
    {"exp_negative", OWN(exp_negative_error_), 0, IS_DOUBLE ? 750 : 110},
    {"exp_near", OWN(exp_near_error_), 0, NEAR},
    {"log1p_unit", OWN(log1p_unit_error_), 0, 1},
    {"tanh_lanes", OWN(tanh_lanes_error_), -25, 25},
#if IS_DOUBLE
    {"exp_pair", OWN(exp_pair_error_), -RANGE, RANGE},
    {"log1p_pair", OWN(log1p_pair_error_), -0.7, 0x1p40},
#endif
};

#undef OWN
#undef REAL
#undef REAL_
#undef CASES
