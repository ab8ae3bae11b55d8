/* The errors that math.inc.h states above its functions, in the scalar vocabulary: test_math FILE
 * reads them from FILE, lines of the form
 *
 *      * Largest error, double: 0.93 ulp at 0x1.8p+1
 *
 * (with `, low = ...` after it for log1p_pair) in the comment that ends where the function begins.
 * Each input has to reach its error within 0.01, and no point of a sample may exceed it.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "math_error.h"

enum { POINTS = 150000 };   /* of each function and type */

static unsigned long checks, failures;

/* The text between `from` and `to` holds one line for `type`. */
static int read_line(const char *from, const char *to, const char *type, double *error, double *x,
                     double *low)
{
    char head[40];
    snprintf(head, sizeof head, "Largest error, %s:", type);
    const char *line = strstr(from, head);
    *low = 0;
    return line && line < to
           && sscanf(line + strlen(head), "%lf %*[a-z] at %lf, low = %lf", error, x, low) >= 2;
}

static int read_stated(const char *text, const char *name, const char *type, double *error,
                       double *x, double *low)
{
    char head[40];
    snprintf(head, sizeof head, "vec %s(", name);
    const char *function = strstr(text, head), *comment = NULL;
    for (const char *p = text; function && (p = strstr(p, "/*")) && p < function; p++)
        comment = p;
    return comment && read_line(comment, function, type, error, x, low);
}

static void check(const struct math_case *c, const char *type, double error, double x, double low,
                  double least, double most)
{
    checks++;
    if (least <= error && error <= most)
        return;
    failures++;
    printf("%s %s at %a, low = %a: error %.4f, not from %.4f to %.4f\n", c->name, type, x, low,
           error, least, most);
}

static void test_case(const struct math_case *c, const char *type, const char *text)
{
    int is_float = strcmp(type, "float") == 0;
    /* What the wider type itself may err by. */
    double slack = ldexp(4, (is_float ? FLT_MANT_DIG : DBL_MANT_DIG) - LDBL_MANT_DIG);
    double stated, x, low;
    if (!read_stated(text, c->name, type, &stated, &x, &low)) {
        failures++;
        printf("%s %s: no error stated\n", c->name, type);
        return;
    }
    check(c, type, c->error(x, low), x, low, stated - 0.01, stated + slack);
    uint64_t state = 0x9e3779b97f4a7c15;
    for (int i = 0; i < POINTS; i++) {
        x = random_point(c, &state);
        if (is_float)
            x = (float)x;
        low = random_low(x, &state);
        check(c, type, c->error(x, low), x, low, 0, stated + slack);
    }
}

int main(int count, char **argument)
{
    static char text[1 << 16];
    FILE *file = count == 2 ? fopen(argument[1], "r") : NULL;
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    if (length == 0 || length == sizeof text) {
        printf("usage: test_math math.inc.h\n");
        return 2;
    }
    fclose(file);
    text[length] = 0;

    for (int i = 0; i < FLOAT_CASES; i++)
        test_case(&floats[i], "float", text);
    int wide = LDBL_MANT_DIG >= DBL_MANT_DIG + 10;
    for (int i = 0; wide && i < DOUBLE_CASES; i++)
        test_case(&doubles[i], "double", text);
    printf("%lu checks, %lu failures%s\n", checks, failures,
           wide ? "" : "; double not checked: long double is no wider");
    return failures != 0;
}
