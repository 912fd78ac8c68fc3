/*
 * mysql_charset_table.h - what tests/make_charsets.py writes and mysql_charset.c reads
 */
#ifndef MYSQL_CHARSET_TABLE_H
#define MYSQL_CHARSET_TABLE_H

#include "mysql_charset.h"

enum charset_kind {
	CHARSET_TABLE,		/* runs, spans, four */
	CHARSET_ASCII, CHARSET_UTF8, CHARSET_UCS2, CHARSET_UTF16, CHARSET_UTF16LE, CHARSET_UTF32,
};

/* Codes from `code` on mean the characters of the text one after the other; a blank: this code means none. */
struct charset_run { uint32_t code; const char *text; };
/* `n` codes from `code` on mean the characters from `first` on. */
struct charset_span { uint32_t code, first, n; };

/* What the codes mean: the character, 0 for none. */
struct charset_map {
	bool		ascii;		/* the lower half is ASCII */
	uint16_t	one[256];
	uint16_t	*two;		/* [code & 0x7fff]; NULL: the set has no such codes */
	uint16_t	*three;		/* 8f xx xx: [code & 0x7fff] */
	uint16_t	*four;		/* GB18030's below 90308130, counted */
};
#define CHARSET_FOUR 39420

struct charset {
	const char			*name;
	const char			*base;		/* has all of that set, except where it says otherwise */
	uint8_t				max;		/* bytes of a character */
	enum charset_kind		kind;
	uint8_t				lacks;		/* a byte below 0x80 that means nothing; 0: none */
	const struct charset_run	*runs;
	const struct charset_span	*spans, *four;	/* four: `code` is the count */
	struct charset_map		*map;		/* made when the set is first looked up */
};

struct charset_id { uint16_t first, last; const char *name; };

/* Each ends with a name of NULL. */
extern struct charset charset_single[], charset_chinese[], charset_japanese[];
extern const struct charset_id charset_ids[];

#endif
