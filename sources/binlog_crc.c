/*
 * binlog_crc.c - CRC-32 by carry-less multiplication where the processor has it, otherwise zlib's
 *
 * Method: Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009).
 * 64 bytes at a time are folded into four registers, those into one, that into 64 bits, and these are reduced by
 * Barrett's method.  The constants are powers of x modulo the polynomial, bits reflected.
 */
#include <zlib.h>

#include "binlog_crc.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define LANE  16
#define LANES 4

#define X_512_64 0x0154442bd4 /* x^(4 * 128 + 64) and so on */
#define X_512    0x01c6e41596
#define X_128_64 0x01751997d0
#define X_128    0x00ccaa009e
#define X_64     0x0163cd6124
#define POLY     0x01db710641
#define MU       0x01f7011641 /* x^64 divided by the polynomial */

#define FOLDING __attribute__((target("pclmul,sse4.1")))

FOLDING static inline __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The register moved on by as many bits as the constants say, and what stands there. */
FOLDING static inline __m128i fold(__m128i x, __m128i by, __m128i next)
{
	__m128i low = _mm_clmulepi64_si128(x, by, 0x00), high = _mm_clmulepi64_si128(x, by, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

FOLDING static uint32_t reduce(__m128i x)
{
	const __m128i low32 = _mm_setr_epi32(-1, 0, -1, 0);
	const __m128i by128 = _mm_set_epi64x(X_128, X_128_64), by64 = _mm_set_epi64x(0, X_64);
	const __m128i barrett = _mm_set_epi64x(MU, POLY);

	x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by128, 0x10));
	x = _mm_xor_si128(_mm_srli_si128(x, 4),
			  _mm_clmulepi64_si128(_mm_and_si128(x, low32), by64, 0x00));
	__m128i t = _mm_clmulepi64_si128(_mm_and_si128(x, low32), barrett, 0x10);

	t = _mm_clmulepi64_si128(_mm_and_si128(t, low32), barrett, 0x00);
	return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, t), 1);
}

/* n: a multiple of LANE, at least LANES of them.  The register, not its complement. */
FOLDING static uint32_t folded(uint32_t crc, const uint8_t *p, size_t n)
{
	const __m128i by512 = _mm_set_epi64x(X_512, X_512_64);
	const __m128i by128 = _mm_set_epi64x(X_128, X_128_64);
	__m128i x[LANES];

	for (size_t i = 0; i < LANES; i++)
		x[i] = load(p + LANE * i);
	x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
	for (p += LANES * LANE, n -= LANES * LANE; n >= LANES * LANE;
	     p += LANES * LANE, n -= LANES * LANE)
		for (size_t i = 0; i < LANES; i++)
			x[i] = fold(x[i], by512, load(p + LANE * i));
	for (size_t i = 1; i < LANES; i++)
		x[0] = fold(x[0], by128, x[i]);
	for (; n; p += LANE, n -= LANE)
		x[0] = fold(x[0], by128, load(p));
	return reduce(x[0]);
}

uint32_t binlog_crc(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t fast = n & ~(size_t)(LANE - 1);

	if (fast >= LANES * LANE && __builtin_cpu_supports("pclmul") &&
	    __builtin_cpu_supports("sse4.1")) {
		crc = ~folded(~crc, p, fast);
		p += fast;
		n -= fast;
	}
	return (uint32_t)crc32_z(crc, p, n);
}

#else

uint32_t binlog_crc(uint32_t crc, const void *bytes, size_t n)
{
	return (uint32_t)crc32_z(crc, bytes, n);
}

#endif
