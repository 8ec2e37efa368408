/* A directory that an attacker may write, what must stay as it is there and beside it, and the attacker, who does one
 * thing each time it is told to: this process, as another user.
 *
 *   canary/           root's, open to all, outside the volume: links lead here
 *   canary/file
 *   vault/            ours, private, empty, outside the volume
 *   volume/           where sockets are published; everybody may write it
 *   volume/hoard/     ours, private, with something in it
 *   volume/public/    ours, not private, with the socket of a process that is gone
 *   volume/pointer    a link to canary, ours */
#ifndef PORTHOLE_TESTS_PUBLISH_SCENE_H
#define PORTHOLE_TESTS_PUBLISH_SCENE_H

#include "tests/unit/publish_fixture.h"

enum scene_kept { KEPT_CANARY, KEPT_FILE, KEPT_VAULT, KEPT_HOARD, KEPT_PUBLIC, N_KEPT };

struct scene {
    uid_t uid;                              /* the attacker's, and its gid */
    char canary[96], vault[96], volume[96]; /* paths */
    int volume_fd;                          /* owned */
    int kept[N_KEPT];                       /* owned; what must stay as it is, wherever it has been moved */
    struct stat before[N_KEPT];
    int planted; /* owned; the socket that the attacker has put somewhere, -1 */
    unsigned n_away;
};

/* What is attacked, and what is put in its place. What is there is moved away. */
enum scene_place {
    PLACE_NURSERY,   /* what a publication makes to work in */
    PLACE_INSIDE,    /* what is in it; only for whoever may go there */
    PLACE_DIRECTORY, /* volume/made */
    PLACE_SOCKET,    /* app.sock, in volume/made when there is one */
    PLACE_LOCK,
    PLACE_LEFTOVER, /* a name such as a crash leaves */
    N_PLACES
};
enum scene_thing {
    THING_NOTHING,
    THING_LINK,         /* to canary */
    THING_LINK_TO_FILE, /* to canary/file */
    THING_LINK_TO_NEW,  /* to canary/new, which is not there */
    THING_LINK_TO_VAULT,
    THING_OUR_LINK, /* the pointer */
    THING_HOARD,
    THING_PUBLIC,
    THING_DIRECTORY, /* of the attacker's, open to all */
    THING_PRIVATE,   /* of the attacker's, closed to all others */
    THING_SOCKET,    /* the attacker listens on it */
    N_THINGS
};
extern const char *const scene_place_names[], *const scene_thing_names[];

/* In the fixture's directory. The process must have no groups besides its own. */
void scene_make(struct scene *scene, const struct fixture *fixture, uid_t attacker, mode_t volume_mode);
void scene_remove(struct scene *scene);
/* Fails the test when something has changed that is nobody's to change, also when it was changed back. */
void scene_check(const struct scene *scene);

/* False when there was nothing to be done, or the attacker may not. */
bool scene_attack(struct scene *scene, enum scene_place place, enum scene_thing thing);
/* The attacker, not of our own user, tries to connect to whatever socket lies in the volume. True when one that is not
 * the attacker's has let it in. */
bool scene_knock(const struct scene *scene);

#endif
