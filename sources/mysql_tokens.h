/*
 * mysql_tokens.h - the tokens of a statement of MySQL or MariaDB
 *
 * Never reads past the end, allocates nothing.  Any thread.
 */
#ifndef MYSQL_TOKENS_H
#define MYSQL_TOKENS_H

#include "memory.h"

enum mysql_token_kind {
	MYSQL_TOKEN_END,
	MYSQL_TOKEN_WORD,	/* keyword, name or number without quotes */
	MYSQL_TOKEN_NAME,	/* a quoted name: `a`, and "a" under ANSI_QUOTES */
	MYSQL_TOKEN_STRING,	/* 'a', and "a" otherwise */
	MYSQL_TOKEN_MARK,	/* one character of anything else */
};

struct mysql_token {
	enum mysql_token_kind	kind;
	struct str		raw;	/* between the quotes, as written */
	char			quote;
	bool			spaced;	/* blanks or comments stand before it */
};

struct mysql_tokens {
	const char	*p, *end;
	uint64_t	sql_mode;
	unsigned	executable;	/* executable comments that are open */
	bool		broken;		/* a quote or comment without its end: nothing that was read is certain */
};

/* `sql` is borrowed; in UTF-8, or in a charset in which no character holds a byte below 0x80 but as itself. */
struct mysql_tokens mysql_tokens_of(struct str sql, uint64_t sql_mode);
struct mysql_token  mysql_token_next(struct mysql_tokens *t);	/* END again and again at the end */

bool mysql_token_is(const struct mysql_token *t, const char *word);	/* an unquoted word, in any case */
bool mysql_token_mark(const struct mysql_token *t, char mark);
bool mysql_token_named(const struct mysql_token *t);			/* can be a name: WORD or NAME */

/* What a name or string means: doubled quotes are one, a string's backslashes are seen to.  Borrowed or in `a`. */
struct str mysql_token_text(const struct mysql_token *t, uint64_t sql_mode, struct arena *a);

#endif
