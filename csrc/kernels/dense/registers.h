/* What the products ask of a machine: its registers, and the shapes of tiles that fill them. */
#ifndef CROSSENT_REGISTERS_H
#define CROSSENT_REGISTERS_H

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
/* Columns of a tile (dense/products.inc.h). */
#define PANEL ((size_t)(VECTOR_REGISTERS / 8 * LANES))

/* Rows of a tile of one register's columns; elements of a cache line. */
enum { TALL = 8 };
/* Columns and registers of a tile, and most columns, of dense/columns.inc.h. */
enum { COLUMN_GROUP = 5, COLUMN_REGISTERS = VECTOR_REGISTERS / 8, NARROW = 11 };
/* Rows of a tile of dot products: as many sums as for the columns above. */
#define DOT_ROWS (1 + (COLUMN_REGISTERS - 1) / (int)HALVES)
#define LINE (64 / sizeof(T))

#endif
