/* What the two halves of an upstream have in common: how their steps end. */
#ifndef PORTHOLE_REACH_HALF_H
#define PORTHOLE_REACH_HALF_H

enum half_result {
    HALF_MORE,   /* done so far, and it goes on: call again when there is something new */
    HALF_WAIT,   /* the target neither takes nor gives anything now */
    HALF_DONE,   /* this half's part is over */
    HALF_LOST,   /* the connection broke: the half's error_number, 0 for an end of file */
    HALF_FAILED, /* the upstream's failure says why */
};

#endif
