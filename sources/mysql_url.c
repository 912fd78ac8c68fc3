/*
 * mysql_url.c - mysql://user:password@host:port/database?sslmode=...&sslrootcert=...&socket=...
 *
 * Each part may be percent-encoded; mariadb:// is the same.  Nothing of the URL is repeated in messages but
 * names of parameters: a misplaced character may make a password look like a host.
 */
#include <stdlib.h>

#include "binlog_client.h"

#define PORT 3306

static const char *const sslmodes[] = { "disable", "prefer", "require", "verify-ca",
					"verify-full" };

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Malloced; NULL: a % without two digits, or one that stands for NUL. */
static char *decode(struct str s)
{
	char *out = xmalloc(s.n + 1), *to = out;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			*to++ = s.p[i];
			continue;
		}
		int high = s.n - i > 2 ? digit(s.p[i + 1]) : -1;
		int low = s.n - i > 2 ? digit(s.p[i + 2]) : -1;

		if (high < 0 || low < 0 || high + low == 0) {
			free(out);
			return NULL;
		}
		*to++ = (char)(high * 16 + low);
		i += 2;
	}
	*to = '\0';
	return out;
}

/* Takes what stands before `c` off the front of *s; p NULL and *s as it was: there is none. */
static struct str cut(struct str *s, char c)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	if (!at)
		return (struct str){ NULL, 0 };
	struct str before = { s->p, (size_t)(at - s->p) };

	s->n -= before.n + 1;
	s->p = at + 1;
	return before;
}

/* The first piece of *s up to `c`, or all of it; the rest stays in *s. */
static struct str piece(struct str *s, char c)
{
	struct str all = *s, before = cut(s, c);

	if (before.p)
		return before;
	*s = (struct str){ all.p + all.n, 0 };
	return all;
}

static int put(char **out, struct str s, const char *what, struct error *err)
{
	free(*out);
	*out = decode(s);
	if (!*out)
		return fail_exit(err, EXIT_USAGE,
				 "source.url: %s: %% must be followed by two hexadecimal digits "
				 "(write %%25 for %% itself)",
				 what);
	return 0;
}

static int parse_port(struct str s, unsigned *port, struct error *err)
{
	*port = 0;
	for (size_t i = 0; i < s.n && *port <= 65535; i++)
		*port = s.p[i] >= '0' && s.p[i] <= '9' ? *port * 10 + (unsigned)(s.p[i] - '0')
						       : 65536;
	if (*port == 0 || *port > 65535)
		return fail_exit(err, EXIT_USAGE,
				 "source.url: the port is not a number from 1 to 65535 (a : / @ ? "
				 "or # of a "
				 "user or password must be written %%3A %%2F %%40 %%3F %%23)");
	return 0;
}

static int parse_address(struct str s, struct mysql_url *out, struct error *err)
{
	struct str host, port = { NULL, 0 };

	if (s.n && s.p[0] == '[') {
		struct str rest = { s.p + 1, s.n - 1 };

		host = cut(&rest, ']');
		if (!host.p || (rest.n && rest.p[0] != ':'))
			return fail_exit(err, EXIT_USAGE,
					 "source.url: an IPv6 address is written [address]:port");
		if (rest.n)
			port = (struct str){ rest.p + 1, rest.n - 1 };
	} else {
		struct str rest = s;

		host = piece(&rest, ':');
		if (host.n < s.n)
			port = rest;
	}
	if (port.p && parse_port(port, &out->port, err))
		return -1;
	return put(&out->host, host, "the host", err);
}

static int parse_mode(const char *value, int *out, struct error *err)
{
	for (int i = 0; i < (int)COUNT(sslmodes); i++)
		if (strcmp(value, sslmodes[i]) == 0) {
			*out = i;
			return 0;
		}
	return fail_exit(err, EXIT_USAGE,
			 "source.url: sslmode = %.40s is none of disable, prefer, require, "
			 "verify-ca, verify-full",
			 value);
}

static int parse_parameter(struct str s, struct mysql_url *out, struct error *err)
{
	struct str name = piece(&s, '=');

	if (str_eqz(name, "sslmode")) {
		AUTO(free) char *mode = NULL;

		return put(&mode, s, "sslmode", err) || parse_mode(mode, &out->sslmode, err) ? -1
											     : 0;
	}
	if (str_eqz(name, "sslrootcert"))
		return put(&out->sslrootcert, s, "sslrootcert", err);
	if (str_eqz(name, "socket"))
		return put(&out->socket, s, "socket", err);
	return fail_exit(err, EXIT_USAGE,
			 "source.url: unknown parameter %.*s; there are sslmode, sslrootcert and "
			 "socket",
			 name.n > 40 ? 40 : (int)name.n, name.p);
}

static int parse(struct str s, struct mysql_url *out, struct error *err)
{
	struct str scheme = cut(&s, '/'), slash = cut(&s, '/'); /* looked at with the file */

	if (!scheme.p || !slash.p)
		return fail_exit(err, EXIT_USAGE, "source.url does not begin with mysql://");
	struct str query = s, rest = piece(&query, '?'), authority = piece(&rest, '/');
	struct str login = { NULL, 0 };

	for (struct str part; (part = cut(&authority, '@')).p;)
		login = (struct str){ login.p ? login.p : part.p,
				      (size_t)(part.p + part.n - (login.p ? login.p : part.p)) };
	struct str user = piece(&login, ':');

	if (put(&out->user, user, "the user", err) ||
	    (login.n && put(&out->password, login, "the password", err)) ||
	    parse_address(authority, out, err) || put(&out->database, rest, "the database", err))
		return -1;
	while (query.n)
		if (parse_parameter(piece(&query, '&'), out, err))
			return -1;
	return 0;
}

/* What does not go together. */
static int judge(const struct mysql_url *u, struct error *err)
{
	if (!*u->user)
		return fail_exit(err, EXIT_USAGE,
				 "source.url names no user: mysql://user@host:port/");
	if (!*u->host && !u->socket)
		return fail_exit(err, EXIT_USAGE,
				 "source.url names no host: mysql://user@host:port/");
	if (u->sslmode >= MYSQL_SSL_VERIFY_CA && !u->sslrootcert)
		return fail_exit(err, EXIT_USAGE,
				 "source.url: sslmode=%s needs sslrootcert=FILE, the certificates "
				 "to trust (those of "
				 "the system: /etc/ssl/certs/ca-certificates.crt)",
				 sslmodes[u->sslmode]);
	if (u->sslrootcert && u->sslmode < MYSQL_SSL_VERIFY_CA)
		return fail_exit(err, EXIT_USAGE,
				 "source.url: sslrootcert is given but nothing is verified with "
				 "sslmode=%s: use "
				 "sslmode=verify-full",
				 sslmodes[u->sslmode]);
	return 0;
}

int mysql_url_parse(const char *url, const char *password, struct mysql_url *out, struct error *err)
{
	*out = (struct mysql_url){ .port = PORT, .sslmode = MYSQL_SSL_PREFER };
	if (parse(str_z(url), out, err) || judge(out, err)) {
		mysql_url_release(out);
		return -1;
	}
	if (password && *password) {
		free(out->password);
		out->password = xstrdup(password);
	}
	return 0;
}

void mysql_url_release(struct mysql_url *u)
{
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->user);
	free(u->password);
	free(u->host);
	free(u->database);
	free(u->sslrootcert);
	free(u->socket);
	*u = (struct mysql_url){ 0 };
}

void mysql_url_cleanup(struct mysql_url *u)
{
	mysql_url_release(u);
}
