#include "sigmoid_call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const array_names[ARRAYS] = {
    "logits", "target", "vector", "sample_weight", "pos_weight", "upstream", "out", "loss",
    "hessian", "probability", "correct"};

static struct crossent_array *array_in(struct crossent_sigmoid *call,
                                       struct crossent_sigmoid_options *o, enum array array)
{
    struct crossent_array *const arrays[ARRAYS] = {
        &call->logits, &call->target, &o->vector, &o->sample_weight, &o->pos_weight, &o->upstream,
        &call->out, &call->loss, &o->hessian, &o->probability, &o->correct};
    return arrays[array];
}

double *new_values(struct problem *p, enum array array, enum crossent_dtype dtype)
{
    const size_t bytes = p->rows * p->classes * sizeof(double);
    p->dtype[array] = dtype;
    p->values[array] = allocate(bytes);
    memset(p->values[array], 0, bytes);
    return p->values[array];
}

struct results solve(const struct problem *p, const struct variant *v)
{
    struct crossent_sigmoid_options o = p->options;
    struct crossent_sigmoid call = {.function = p->function, .rows = p->rows,
                                    .classes = p->classes, .coefficient = p->coefficient,
                                    .options = p->no_options ? NULL : &o,
                                    .threads = v->threads ? v->threads : 1};
    const int in_place = v->in_place && p->values[OUT] && !o.accumulate;
    struct results r = {0};
    struct placed placed[ARRAYS];
    now.type = dtype_name(p->dtype[LOGITS]);
    now.variant = v->name;
    now.rows = p->rows;
    now.classes = p->classes;
    for (enum array a = 0; a < ARRAYS; a++) {
        if (!p->values[a] || (a == OUT && in_place)) continue;
        placed[a] = place(p->dtype[a], p->rows, p->classes, a < INPUTS ? v->in : v->out,
                          v->folded);
        put_numbers(&placed[a], p->values[a]);
        *array_in(&call, &o, a) = placed[a].array;
    }
    if (in_place) call.out = call.logits;
    call.ndim = v->folded ? 2 : 1;
    call.shape[0] = placed[LOGITS].shape[0];
    call.shape[1] = placed[LOGITS].shape[1];
    dirty_stack();
    r.status = crossent_weigh_sigmoid(&call);
    r.weight = call.weight;
    r.count = call.count;
    dirty_stack();
    if (r.status == CROSSENT_OK) r.status = crossent_sigmoid(&call);
    r.total = call.total;
    r.fault_element = call.fault_element;
    r.fault_value = call.fault_value;
    r.faults = call.faults;
    for (enum array a = INPUTS; a < ARRAYS; a++) {
        if (!p->values[a]) continue;
        struct placed *from = &placed[a == OUT && in_place ? LOGITS : a];
        r.values[a] = allocate(p->rows * p->classes * sizeof(double));
        fetch_numbers(from, r.values[a]);
        discard(from, array_names[a]);
    }
    for (enum array a = 0; a < INPUTS; a++)
        if (p->values[a] && !(a == LOGITS && in_place))
            discard_numbers(&placed[a], p->values[a], array_names[a]);
    return r;
}

void free_results(struct results *r)
{
    for (enum array a = 0; a < ARRAYS; a++) free(r->values[a]);
}
void free_problem(struct problem *p)
{
    for (enum array a = 0; a < ARRAYS; a++) free(p->values[a]);
}

int same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

void same(const struct problem *p, const struct results *wanted, struct results found)
{
    check(found.status == wanted->status && same_number(found.total, wanted->total) &&
          found.weight == wanted->weight && found.count == wanted->count,
          "status %d, total %a, unlike the plain call's %a", found.status, found.total,
          wanted->total);
    check(found.faults == wanted->faults && found.fault_element == wanted->fault_element &&
          same_number(found.fault_value, wanted->fault_value), "another fault");
    for (enum array a = INPUTS; a < ARRAYS; a++)
        for (size_t i = 0; p->values[a] && i < p->rows * p->classes; i++)
            check(same_number(found.values[a][i], wanted->values[a][i]),
                  "%s[%zu] is %a, the plain call's %a", array_names[a], i, found.values[a][i],
                  wanted->values[a][i]);
    free_results(&found);
}
