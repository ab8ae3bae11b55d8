/* Names of the training templates without their suffix (names.h), and what they ask of a
 * machine. */
#ifndef CROSSENT_TRAIN_NAMES_H
#define CROSSENT_TRAIN_NAMES_H

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECTOR_REGISTERS 32
#else
#define VECTOR_REGISTERS 16
#endif
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED 1
#else
#define FUSED 0
#endif
/* Columns of a tile (train_products.inc.h). */
#define PANEL ((size_t)(VECTOR_REGISTERS / 8 * LANES))

/* Rows of a tile of one register's columns; elements of a cache line. */
enum { TALL = 8 };
/* Columns and registers of a tile, and most columns, of train_columns.inc.h. */
enum { COLUMN_GROUP = 5, COLUMN_REGISTERS = VECTOR_REGISTERS / 8, NARROW = 11 };
/* Rows of a tile of dot products: as many sums as for the columns above. */
#define DOT_ROWS (1 + (COLUMN_REGISTERS - 1) / (int)HALVES)
#define LINE (64 / sizeof(T))

#define product_tile F(product_tile)
#define tile_of_height F(tile_of_height)
#define tile_rows F(tile_rows)
#define multiply_tiles F(multiply_tiles)
#define column_tile F(column_tile)
#define column_tiles F(column_tiles)
#define multiply_columns F(multiply_columns)
#define transpose_matrix F(transpose_matrix)
#define dot_step F(dot_step)
#define dot_tile F(dot_tile)
#define dot_rows F(dot_rows)
#define multiply_dots F(multiply_dots)
#define sigmoid_of F(sigmoid_of)
#define activation_of F(activation_of)
#define slope_of F(slope_of)
#define activate_with F(activate_with)
#define differentiate_with F(differentiate_with)
#define activate_elements F(activate_elements)
#define differentiate_elements F(differentiate_elements)
#define sum_columns F(sum_columns)
#define finite_elements F(finite_elements)
#define squares F(squares)
#define regularized F(regularized)
#define update_sgd F(update_sgd)
#define update_adam F(update_adam)
#define update_parameters F(update_parameters)
#define multiply_by F(multiply_by)
#define add_to F(add_to)
#define square_root F(square_root)

#endif
