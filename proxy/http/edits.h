/* Edits: what a route changes about the fields of a head. Pure.
 *
 * A name that is set or removed is gone, whoever sent it and however it was spelt: every spelling that CGI takes for
 * the same name counts, in the head and in trailers. What is set or added is written by us, behind what is left. */
#ifndef PORTHOLE_HTTP_EDITS_H
#define PORTHOLE_HTTP_EDITS_H

#include "proxy/http/request.h"
#include "proxy/http/template.h"

/* One line of ours. */
struct edit {
    char *name;             /* owned, like the next */
    struct template *value; /* never NULL once read */
    bool secret;            /* what a variable or a file holds stands in it */
};

struct edit_list {
    struct edit *items; /* owned */
    size_t n_items;
};

/* Of requests or of responses. All zero: none. */
struct edits {
    struct edit_list set, add;
    char **remove;           /* owned; NULL-terminated; NULL: none */
    unsigned replaced;       /* FIELD_BIT of the fields that we know and that are set or removed */
    const struct edit *host; /* of set; NULL: none */
};

/* Takes one that is all zero, or half read. */
void edit_list_deinit(struct edit_list *list);
/* Derives the rest once set, add and remove are there. */
void edits_finish(struct edits *edits);

static inline bool edits_are_any(const struct edits *edits)
{
    return edits->set.n_items > 0 || edits->add.n_items > 0 || edits->remove;
}
/* Whether the peer's field of this name is not passed on. */
bool edits_hide(const struct edits *edits, struct text name);
/* Sets field.drop of all those. */
void edits_mark(const struct edits *edits, struct fields *fields);

/* Writes what is set (but for Host) and added, as whole lines. Unless DONE what was written is to be thrown away. */
enum template_verdict edits_write(const struct edits *edits, struct template_values *values,
                                  struct head_writer *writer);
/* Takes host, path and query of a request that was found good; texts are borrowed from it. */
void edits_take_request(struct template_values *values, const struct request *request);

/* What the lines of ours have at most, but for the references without a bound (template.h). */
size_t edits_bounded_bytes(const struct edits *edits);
/* What references they have: a set of kinds. */
unsigned edits_kinds(const struct edits *edits);

/* Whether a route may edit this field. Not what messages and connections are framed with (class HOP and FRAME, Expect,
 * Trailer), nor Via, by which proxies tell that a message goes in circles. */
bool edits_may_name(enum field_id id);

#endif
