/* The table of one type (table.h). */
static void any_statistics(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    if (rows->columns)
        column_rows(rows, scratch, output);
    else if (rows->classes <= TILE_CLASSES)
        short_rows(rows, scratch, output);
    else if (rows->classes <= BLOCK)
        block_rows(rows, scratch, output);
    else
        long_rows(rows, scratch, output);
}

static void write_output(const struct rows *rows, struct scratch *scratch,
                         enum crossent_output output)
{
    if (rows->columns)
        write_column_rows(rows, scratch, output);
    else if (rows->classes <= TILE_CLASSES)
        write_short_rows(rows, scratch, output);
    else if (rows->classes <= BLOCK)
        write_block_rows(rows, scratch, output);
    else
        write_long_rows(rows, scratch, output);
    if (rows->shared_target && output == CROSSENT_GRADIENT)
        subtract_label_targets(rows);
}

#if IS_DOUBLE
static const struct typed_kernels typed_table = {
#else
const struct typed_kernels OF_ISA(f32_) = {
#endif
    .statistics = any_statistics,
    .write = write_output,
    .begin = begin_long_row,
    .segment = long_segment,
    .join = join_segments,
    .write_part = write_long_part,
    .bias = BIAS,
    .gather_contiguous = collect_rows,
    .scatter_strided = spread_rows,
    .add = add_rows,
    .load = load_any,
    .stage = stage_row,
    .general_statistics = general_rows_statistics,
    .general_focal = focal_targets,
    .general_write = write_general_row,
    .store = store_any,
    .sigmoid_loss = sigmoid_losses,
    .sigmoid_function = sigmoid_functions,
    .train = &train_table,
};
