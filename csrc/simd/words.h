/* The vocabulary without suffixes: `vload` means vload_f32 where SUFFIX is _f32. */
#ifndef CROSSENT_WORDS_H
#define CROSSENT_WORDS_H

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define F(word) PASTE(word, SUFFIX)

/* simd/README.md says what they mean. */
#define LANES F(LANES)
#define PARTS F(PARTS)
#define vec F(vec)
#define mask F(mask)
#define vset F(vset)
#define vlanes F(vlanes)
#define vload F(vload)
#define vstore F(vstore)
#define vload_part F(vload_part)
#define vstore_part F(vstore_part)
#define vfma F(vfma)
#define vmax F(vmax)
#define vmin F(vmin)
#define vabs F(vabs)
#define vsigned F(vsigned)
#define vless F(vless)
#define vequal F(vequal)
#define vselect F(vselect)
#define vbits F(vbits)
#define vpow2 F(vpow2)
#define vsplit F(vsplit)
#define vwiden F(vwiden)
#define vload_wide F(vload_wide)
#define vnarrow F(vnarrow)
#define vtranspose F(vtranspose)
#define vtop F(vtop)

/* Coefficients (math/coefficients.h). */
#define LOG2E F(LOG2E)
#define LN2_HI F(LN2_HI)
#define LN2_LO F(LN2_LO)
#define LN2_TOP F(LN2_TOP)
#define LN2_REST F(LN2_REST)
#define EXP F(EXP)
#define LOG1P F(LOG1P)
#define LOG1P_UNIT F(LOG1P_UNIT)

#endif
