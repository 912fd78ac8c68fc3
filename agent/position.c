/*
 * position.c - order and text of positions
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "position.h"

#define CMP(a, b) ((a) < (b) ? -1 : (a) > (b))

int position_cmp(const struct position *a, const struct position *b)
{
	if (a->epoch != b->epoch)
		return CMP(a->epoch, b->epoch);
	if (a->file != b->file)
		return CMP(a->file, b->file);
	if (a->offset != b->offset)
		return CMP(a->offset, b->offset);
	return CMP(a->row, b->row);
}

bool position_same_transaction(const struct position *a, const struct position *b)
{
	/* What stands between transactions has the offset of the one before it. */
	return a->epoch == b->epoch && a->file == b->file && a->offset == b->offset &&
	       (a->row < POSITION_BETWEEN) == (b->row < POSITION_BETWEEN);
}

const char *position_text(const struct position *pos, char out[POSITION_TEXT])
{
	snprintf(out, POSITION_TEXT, "%" PRIu32 "/%" PRIu32 "/%" PRIX64 "/%" PRIu64, pos->epoch,
		 pos->file, pos->offset, pos->row);
	return out;
}

const char *position_filename(const struct position *pos, char out[POSITION_TEXT])
{
	snprintf(out, POSITION_TEXT, "%02" PRIx32 "-%06" PRIx32 "-%016" PRIx64 "-%016" PRIx64,
		 pos->epoch, pos->file, pos->offset, pos->row);
	return out;
}

void position_format(const struct position *pos, struct buf *out)
{
	char text[POSITION_TEXT];

	buf_adds(out, position_text(pos, text));
}

/* One number in base 10 or 16 up to `end`; false if it is empty, too large or has other characters. */
static bool parse_number(const char **p, const char *end, char stop, unsigned base, uint64_t max,
			 uint64_t *out)
{
	uint64_t v = 0;
	const char *start = *p;

	for (; *p < end && **p != stop; (*p)++) {
		char c = **p;
		unsigned digit = c >= '0' && c <= '9'                 ? (unsigned)(c - '0')
				 : base == 16 && c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
				 : base == 16 && c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
								      : 99;

		if (digit >= base || v > (max - digit) / base)
			return false;
		v = v * base + digit;
	}
	if (*p == start || (stop ? *p == end : *p != end))
		return false;
	if (stop)
		(*p)++;
	*out = v;
	return true;
}

int position_parse(struct str text, struct position *out)
{
	const char *p = text.p, *end = text.p + text.n;
	uint64_t epoch, file, offset, row;

	if (!parse_number(&p, end, '/', 10, UINT32_MAX, &epoch) ||
	    !parse_number(&p, end, '/', 10, UINT32_MAX, &file) ||
	    !parse_number(&p, end, '/', 16, UINT64_MAX, &offset) ||
	    !parse_number(&p, end, 0, 10, UINT64_MAX, &row))
		return -1;
	*out = (struct position){ (uint32_t)epoch, (uint32_t)file, offset, row };
	return 0;
}

void checkpoint_copy(struct checkpoint *to, const struct checkpoint *from)
{
	struct checkpoint copy = {
		.pos = from->pos,
		.resume = from->resume ? xstrdup(from->resume) : NULL,
		.snapshot = from->snapshot ? xstrdup(from->snapshot) : NULL,
		.stopped = from->stopped ? xstrdup(from->stopped) : NULL,
	};

	checkpoint_release(to);
	*to = copy;
}

void checkpoint_release(struct checkpoint *c)
{
	free(c->resume);
	free(c->snapshot);
	free(c->stopped);
	*c = (struct checkpoint){ 0 };
}

void checkpoint_cleanup(struct checkpoint *c)
{
	checkpoint_release(c);
}
