#include "config/problem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/words.h"

void problems_deinit(struct problems *problems)
{
    for (size_t i = 0; i < problems->n_items; i++) {
        free(problems->items[i].pointer);
        free(problems->items[i].message);
    }
    for (size_t i = 0; i < problems->n_files; i++)
        free(problems->files[i]);
    free(problems->files);
    free(problems->items);
    *problems = (struct problems)PROBLEMS_INIT;
}

static int problems_reserve(struct problems *problems)
{
    size_t capacity = problems->capacity ? 2 * problems->capacity : 8;
    struct problem *items;

    if (problems->n_items < problems->capacity)
        return 0;
    items = reallocarray(problems->items, capacity, sizeof(*items));
    if (!items)
        return -ENOMEM;
    problems->items = items;
    problems->capacity = capacity;
    return 0;
}

int problems_miss_file(struct problems *problems, const char *path)
{
    char **files, *copy;

    if (problems->n_files == PROBLEMS_MAX)
        return 0;
    files = reallocarray(problems->files, problems->n_files + 1, sizeof(char *));
    if (!files)
        return -ENOMEM;
    problems->files = files;
    copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    files[problems->n_files++] = copy;
    return 0;
}

bool problems_are_full(const struct problems *problems)
{
    return problems->n_items > PROBLEMS_MAX;
}

int problems_add_v(struct problems *problems, struct position position, const char *pointer, const char *format,
                   va_list args)
{
    struct problem problem = {.line = position.line, .column = position.column};

    if (problems_are_full(problems))
        return 0;
    if (problems->n_items == PROBLEMS_MAX) {
        /* Sorts behind all others. */
        problem.line = INT32_MAX;
        pointer = "";
        if (asprintf(&problem.message, "more than %d problems: the others are not shown", PROBLEMS_MAX) < 0)
            return -ENOMEM;
    } else if (vasprintf(&problem.message, format, args) < 0) {
        return -ENOMEM;
    }
    problem.pointer = strdup(pointer);
    if (!problem.pointer || problems_reserve(problems) < 0) {
        free(problem.pointer);
        free(problem.message);
        return -ENOMEM;
    }
    problems->items[problems->n_items++] = problem;
    return 0;
}

int problems_add(struct problems *problems, struct position position, const char *pointer, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = problems_add_v(problems, position, pointer, format, args);
    va_end(args);
    return r;
}

static bool problem_before(const struct problem *a, const struct problem *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void problems_sort(struct problems *problems)
{
    /* Insertion: stable, and there are at most PROBLEMS_MAX + 1. */
    for (size_t i = 1; i < problems->n_items; i++) {
        struct problem moved = problems->items[i];
        size_t to = i;
        for (; to > 0 && problem_before(&moved, &problems->items[to - 1]); to--)
            problems->items[to] = problems->items[to - 1];
        problems->items[to] = moved;
    }
    if (problems->n_items > PROBLEMS_MAX)
        problems->items[PROBLEMS_MAX].line = 0;
}

/* Control characters of the file must not reach a terminal. */
static void problem_print_escaped(const char *text, FILE *to)
{
    while (*text) {
        unsigned code;
        size_t length = words_control_length(text, &code);
        if (length > 0)
            fprintf(to, "\\u%04x", code);
        else
            fputc(*text, to);
        text += length > 0 ? length : 1;
    }
}

void problems_print(const struct problems *problems, const char *file, const char *kind, FILE *to)
{
    for (size_t i = 0; i < problems->n_items; i++) {
        const struct problem *problem = &problems->items[i];
        problem_print_escaped(file, to);
        if (problem->line > 0)
            fprintf(to, ":%d:%d", problem->line, problem->column);
        fprintf(to, ": %s", kind);
        if (problem->pointer[0] != '\0') {
            problem_print_escaped(problem->pointer, to);
            fputs(": ", to);
        }
        problem_print_escaped(problem->message, to);
        fputc('\n', to);
    }
}
