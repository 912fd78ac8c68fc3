/*
 * mysql_stmt.h - a statement that is being read, one token ahead
 *
 * Shared by mysql_statement.c and mysql_ddl.c.  Never past the end; nothing recurses.
 */
#ifndef MYSQL_STMT_H
#define MYSQL_STMT_H

#include "mysql_ddl.h"
#include "mysql_tokens.h"

struct stmt {
	struct mysql_tokens		tokens;
	struct mysql_token		t;	/* the one at hand */
	struct arena			*a;
	struct str			db;	/* the default one */
	struct mysql_statement_info	*out;
	size_t				room;	/* of out->items */
};

void stmt_next(struct stmt *r);
bool stmt_end(const struct stmt *r);				/* or a semicolon */
bool stmt_is(const struct stmt *r, const char *word);
bool stmt_one_of(const struct stmt *r, const char *const *words);	/* words end with NULL */
bool stmt_mark(const struct stmt *r, char mark);
bool stmt_accept(struct stmt *r, const char *word);		/* goes on past it if it is there */
bool stmt_accept_mark(struct stmt *r, char mark);

void stmt_skip_words(struct stmt *r, const char *const *words);	/* as many of these as come */
void stmt_skip_thing(struct stmt *r);				/* one token, a parenthesis with all that it holds */
bool stmt_skip_to(struct stmt *r, const char *const *words);	/* the first of these outside parentheses; false: none */

/* A name's text, past it; false: there is none. */
bool stmt_word(struct stmt *r, struct str *out);
/* `table`, `db`.`table` with blanks wherever, or .`table` */
bool stmt_name(struct stmt *r, struct str *db, struct str *table);

struct str stmt_lower(struct str s, struct arena *a);		/* of ASCII */
struct mysql_ddl_item *stmt_add(struct stmt *r, enum mysql_ddl_kind kind, struct str db, struct str table);

/* mysql_ddl.c; the word itself was read. */
enum mysql_statement ddl_create(struct stmt *r);
enum mysql_statement ddl_alter(struct stmt *r);
enum mysql_statement ddl_drop(struct stmt *r);
enum mysql_statement ddl_rename(struct stmt *r);
enum mysql_statement ddl_truncate(struct stmt *r);

#endif
