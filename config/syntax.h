/* JSON text to a tree, with a helpful sentence where it is not JSON. */
#ifndef PORTHOLE_CONFIG_SYNTAX_H
#define PORTHOLE_CONFIG_SYNTAX_H

#include <jansson.h>
#include <stddef.h>

#include "config/problem.h"

/* Stores the tree, which the caller owns. 0; 1 with one problem added; -ENOMEM. */
int syntax_parse(const char *text, size_t length, json_t **ret_tree, struct problems *problems) WARN_UNUSED;

#endif
