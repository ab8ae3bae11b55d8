#include "softmax_call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const array_names[ARRAYS] = {
    "logits", "target", "vector", "sample_weight", "upstream", "class_mask", "out", "hessian",
    "target_gradient", "loss", "logsumexp", "probability", "entropy", "argmax", "correct"};

static struct crossent_array *array_in(struct crossent_softmax *call, enum array array)
{
    struct crossent_array *const arrays[ARRAYS] = {
        &call->logits, &call->target, &call->vector, &call->sample_weight, &call->upstream,
        &call->class_mask, &call->out, &call->hessian, &call->target_gradient, &call->loss,
        &call->logsumexp, &call->probability, &call->entropy, &call->argmax, &call->correct};
    return arrays[array];
}

int is_wide(enum array array)
{
    return array == LOGITS || array == VECTOR || array == CLASS_MASK || array == OUT ||
           array == HESSIAN || array == TARGET_GRADIENT;
}

static size_t width_of(const struct softmax_case *c, enum array array)
{
    const int soft = array == TARGET && c->dtype[TARGET] <= CROSSENT_BF16;
    return is_wide(array) || soft ? c->classes : 1;
}

size_t values_of(const struct softmax_case *c, enum array array)
{
    return c->rows * width_of(c, array);
}

double *new_values(struct softmax_case *c, enum array array, enum crossent_dtype dtype)
{
    c->dtype[array] = dtype;
    const size_t bytes = values_of(c, array) * sizeof *c->values[array];
    c->values[array] = allocate(bytes);
    memset(c->values[array], 0, bytes);
    return c->values[array];
}

/* Into the logits: of the same dtype, and not where the old values count. */
static int goes_in_place(const struct softmax_case *c, const struct variant *v)
{
    return v->in_place && c->values[OUT] && c->dtype[OUT] == c->dtype[LOGITS] &&
           !c->call.accumulate;
}

static int call_of(const struct softmax_case *c, struct crossent_softmax *call)
{
    if (!c->categorical) return crossent_softmax(call);
    struct crossent_categorical categorical = {*call, c->normalize, c->clip_low, c->clip_high};
    const int status = crossent_categorical(&categorical);
    *call = categorical.rows;
    return status;
}

struct softmax_results solve_softmax(const struct softmax_case *c, const struct variant *v)
{
    struct crossent_softmax call = c->call;
    struct softmax_results r = {0};
    struct placed placed[ARRAYS];
    const int in_place = goes_in_place(c, v);
    now.type = dtype_name(c->dtype[LOGITS]);
    now.variant = v->name;
    now.rows = c->rows;
    now.classes = c->classes;
    for (enum array a = 0; a < ARRAYS; a++) {
        if (!c->values[a] || (a == OUT && in_place)) continue;
        placed[a] = place(c->dtype[a], c->rows, width_of(c, a), a < INPUTS ? v->in : v->out,
                          v->folded);
        put_numbers(&placed[a], c->values[a]);
        *array_in(&call, a) = placed[a].array;
    }
    if (in_place) call.out = call.logits;
    call.ndim = v->folded ? 2 : 1;
    call.shape[0] = placed[LOGITS].shape[0];
    call.shape[1] = placed[LOGITS].shape[1];
    call.rows = c->rows;
    call.classes = c->classes;
    call.threads = v->threads ? v->threads : 1;
    dirty_stack();
    r.status = call_of(c, &call);
    r.total = call.total;
    r.fault_row = call.fault_row;
    r.fault_column = call.fault_column;
    r.faults = call.faults;
    for (enum array a = INPUTS; a < ARRAYS; a++) {
        if (!c->values[a]) continue;
        struct placed *from = &placed[a == OUT && in_place ? LOGITS : a];
        r.values[a] = allocate(values_of(c, a) * sizeof *r.values[a]);
        fetch_numbers(from, r.values[a]);
        discard(from, array_names[a]);
    }
    for (enum array a = 0; a < INPUTS; a++)
        if (c->values[a] && !(a == LOGITS && in_place))
            discard_numbers(&placed[a], c->values[a], array_names[a]);
    return r;
}

/* The same number, or NaN both. */
static int same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static void same_results(const struct softmax_case *c, const struct softmax_results *wanted,
                         struct softmax_results found, const char *whose)
{
    check(found.status == wanted->status && found.fault_row == wanted->fault_row &&
          found.fault_column == wanted->fault_column && found.faults == wanted->faults,
          "status %d, fault in row %zu, unlike the %s call's", found.status, found.fault_row,
          whose);
    check(same(found.total, wanted->total), "total %a, unlike the %s call's %a", found.total,
          whose, wanted->total);
    for (enum array a = INPUTS; a < ARRAYS; a++) {
        size_t i = 0, n = c->values[a] ? values_of(c, a) : 0;
        while (i < n && same(found.values[a][i], wanted->values[a][i])) i++;
        check(i == n, "%s[%zu] is %a, the %s call's %a", array_names[a], i,
              i < n ? found.values[a][i] : 0, whose, i < n ? wanted->values[a][i] : 0);
    }
    free_results(&found);
}

void compare_softmax(const struct softmax_case *c, const struct softmax_results *r)
{
    struct variant threads = {"threads", plain->in, plain->out, .threads = 3};
    for (enum array a = INPUTS; a < ARRAYS; a++)
        for (size_t i = 0; c->values[a] && i < values_of(c, a); i++)
            add_to_digest(isnan(r->values[a][i]) ? "NaN.NaN" : (void *)&r->values[a][i], 8);
    add_to_digest(isnan(r->total) ? "NaN.NaN" : (void *)&r->total, 8);
    if (only_digest) return;
    switch_isa("scalar");
    same_results(c, r, solve_softmax(c, plain), "plain");
    switch_isa(now.isa);
    same_results(c, r, solve_softmax(c, &variants[1 + random_below(VARIANTS - 1)]), "plain");
    same_results(c, r, solve_softmax(c, &variants[1 + random_below(VARIANTS - 1)]), "plain");
    if (c->rows * c->classes >= 1 << 15) same_results(c, r, solve_softmax(c, &threads), "plain");
}

void free_results(struct softmax_results *r)
{
    for (enum array a = 0; a < ARRAYS; a++) free(r->values[a]);
}

void free_case(struct softmax_case *c)
{
    for (enum array a = 0; a < ARRAYS; a++) free(c->values[a]);
}
