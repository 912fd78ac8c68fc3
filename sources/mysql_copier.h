/*
 * mysql_copier.h - the tables of MySQL and MariaDB read beside the binary log
 */
#ifndef MYSQL_COPIER_H
#define MYSQL_COPIER_H

#include "copier.h"

extern const struct copier_ops mysql_copier;

#endif
