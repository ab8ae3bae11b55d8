/* Sums that do not care how wide a register is.
 *
 * a) A sum has WIDE lanes (one for each element of 64 bytes), whatever the register: element j
 *    belongs to lane j mod WIDE.
 * b) A term joins its lane's double. For T = float that loses 2^-53; adding neighbours in float first
 *    would be cheaper, but one ulp of a sum that a single term dominates is half of what the loss may
 *    lose. For T = double what rounding loses is kept in a second double (Knuth's two-sum): 300,000
 *    equal terms would otherwise drift by 1e4 ulp.
 * c) Lanes are added in halves: i with i + WIDE/2, and so on.
 */
#ifndef T
#error "sums.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

struct accumulator {
    vec_f64 hi[WIDE / LANES_f64], lo[WIDE / LANES_f64];
};

static inline void sum_clear(struct accumulator *sum)
{
    for (int i = 0; i < WIDE / LANES_f64; i++)
        sum->hi[i] = sum->lo[i] = vset_f64(0);
}

/* Adds v to the lanes [h * LANES, (h + 1) * LANES). */
static inline void sum_add(struct accumulator *sum, int h, vec v)
{
    for (int part = 0; part < PARTS; part++) {
        vec_f64 *hi = &sum->hi[h * PARTS + part], *lo = &sum->lo[h * PARTS + part];
        vec_f64 term = vwiden(v, part);
        if (IS_DOUBLE) {
            vec_f64 s = *hi + term, back = s - *hi;
            *lo = *lo + ((*hi - (s - back)) + (term - back));
            *hi = s;
        } else {
            *hi = *hi + term;
        }
    }
}

/* All lanes together, as hi + *low (low is 0 for float). */
static inline double sum_total(const struct accumulator *sum, double *low)
{
    double hi[WIDE], lo[WIDE];
    for (int i = 0; i < WIDE / LANES_f64; i++) {
        vstore_f64(hi + i * LANES_f64, sum->hi[i]);
        vstore_f64(lo + i * LANES_f64, sum->lo[i]);
    }
    for (int half = WIDE / 2; half; half /= 2)
        for (int i = 0; i < half; i++) {
            double s = hi[i] + hi[i + half];
            if (IS_DOUBLE) {
                double back = s - hi[i];
                lo[i] = (lo[i] + lo[i + half]) + ((hi[i] - (s - back)) + (hi[i + half] - back));
            }
            hi[i] = s;
        }
    *low = IS_DOUBLE ? lo[0] : 0;
    return hi[0];
}
