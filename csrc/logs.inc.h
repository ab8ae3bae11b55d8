/* Logarithms of many numbers, for the drivers: positive, normal doubles. Within an ulp, also near 1,
 * where x - 1 is exact. */
#ifndef T
#error "logs.inc.h: include with T = double"
#endif

static void log_many(double *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vec k, m = vsplit(vload_part(x + i, n - i, vset(1)), &k);
        vstore_part(x + i, n - i, log_parts(k, m - vset(1), vset(0)));
    }
}
