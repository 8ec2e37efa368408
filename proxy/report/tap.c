/* A ring of entries, each in one piece: where one does not fit before the end, what is left there is passed over. An
 * entry has the record but for its texts, which follow in their order, the reason, the fields of both heads, and
 * bodies. What it has not is not written: each cache line goes from the worker's processor to the reader's and back. */
#include "proxy/report/tap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAP_ALIGN 8u
#define TAP_LEAST_ROOM 4096u /* what a record without a message takes at most, as a rule */

/* All texts of a record stand at its front, so that they can be walked through. */
#define TAP_N_TEXTS (offsetof(struct record, series) / sizeof(struct text))
static_assert(offsetof(struct record, request_id) == 0 && offsetof(struct record, series) % sizeof(struct text) == 0,
              "a record begins with its texts, and series comes behind them");

struct tap_entry {
    uint32_t bytes; /* with this; what was not used before the ring's end has no record */
    uint32_t is_record;
};

/* What is behind the texts. */
#define TAP_REST_AT offsetof(struct record, series)
#define TAP_REST_BYTES (sizeof(struct record) - TAP_REST_AT)

struct tap_entry_record {
    struct tap_entry entry;
    alignas(struct record) char rest[TAP_REST_BYTES];
    uint32_t text_bytes[TAP_N_TEXTS];
    uint32_t reason_bytes, wanted;
    uint32_t request_fields, response_fields, request_body, response_body; /* bytes */
};

void tap_init(struct tap *tap)
{
    *tap = (struct tap){.ring = NULL};
}

void tap_deinit(struct tap *tap)
{
    free(tap->ring);
    tap->ring = NULL;
}

/* ---- the worker's ---- */

static size_t tap_room(const struct tap *tap)
{
    uint64_t used = atomic_load_explicit(&tap->written, memory_order_relaxed) -
                    atomic_load_explicit(&tap->taken, memory_order_acquire);

    return TAP_RING_BYTES - (size_t)used;
}

bool tap_has_room(struct tap *tap)
{
    if (tap_room(tap) >= TAP_LEAST_ROOM)
        return true;
    counter_add(&tap->lost, 1);
    return false;
}

/* Room for so many bytes in one piece, and where its end is in the stream of bytes. NULL: there is none. */
static char *tap_claim(struct tap *tap, size_t bytes, uint64_t *ret_end)
{
    uint64_t written = atomic_load_explicit(&tap->written, memory_order_relaxed);
    size_t at = (size_t)(written & (TAP_RING_BYTES - 1)), rest = TAP_RING_BYTES - at;
    size_t room = tap_room(tap);

    if (bytes <= rest) {
        *ret_end = written + bytes;
        return bytes <= room ? tap->ring + at : NULL;
    }
    if (bytes > TAP_RING_BYTES || rest + bytes > room)
        return NULL;
    *(struct tap_entry *)(void *)(tap->ring + at) = (struct tap_entry){.bytes = (uint32_t)rest};
    *ret_end = written + rest + bytes;
    return tap->ring;
}

static char *tap_put(char *to, const void *data, size_t n)
{
    if (n > 0)
        memcpy(to, data, n);
    return to + n;
}

static char *tap_put_message(char *to, const struct tap_message *message)
{
    to = tap_put(to, message->request_fields.data, message->request_fields.length);
    to = tap_put(to, message->response_fields.data, message->response_fields.length);
    to = tap_put(to, message->request_body.data, message->request_body.length);
    return tap_put(to, message->response_body.data, message->response_body.length);
}

static size_t tap_message_bytes(const struct tap_message *message)
{
    return message->request_fields.length + message->response_fields.length + message->request_body.length +
           message->response_body.length;
}

void tap_add(struct tap *tap, const struct record *record)
{
    static const struct tap_message nothing;
    const struct tap_message *message = record->message ? record->message : &nothing;
    const struct text *texts = &record->request_id;
    size_t reason_bytes = record->reason ? strlen(record->reason) + 1 : 0;
    size_t bytes = sizeof(struct tap_entry_record) + reason_bytes + tap_message_bytes(message);
    struct tap_entry_record *entry;
    uint64_t end;
    char *to;

    for (size_t i = 0; i < TAP_N_TEXTS; i++)
        bytes += texts[i].length;
    bytes = (bytes + TAP_ALIGN - 1) & ~(size_t)(TAP_ALIGN - 1);
    entry = (void *)tap_claim(tap, bytes, &end);
    if (!entry) {
        counter_add(&tap->lost, 1);
        return;
    }
    entry->entry = (struct tap_entry){(uint32_t)bytes, 1};
    memcpy(entry->rest, (const char *)record + TAP_REST_AT, TAP_REST_BYTES);
    entry->reason_bytes = (uint32_t)reason_bytes;
    entry->wanted = record->message ? message->wanted : TAP_WANTS;
    entry->request_fields = (uint32_t)message->request_fields.length;
    entry->response_fields = (uint32_t)message->response_fields.length;
    entry->request_body = (uint32_t)message->request_body.length;
    entry->response_body = (uint32_t)message->response_body.length;
    to = (char *)(entry + 1);
    for (size_t i = 0; i < TAP_N_TEXTS; i++) {
        entry->text_bytes[i] = (uint32_t)texts[i].length;
        to = tap_put(to, texts[i].data, texts[i].length);
    }
    to = tap_put(to, record->reason, reason_bytes);
    tap_put_message(to, message);
    atomic_store_explicit(&tap->written, end, memory_order_release);
}

/* ---- the reader's ---- */

int tap_listen(struct tap *tap, uint32_t wanted)
{
    if (!tap->ring)
        tap->ring = malloc(TAP_RING_BYTES);
    if (!tap->ring)
        return -ENOMEM;
    if (atomic_load_explicit(&tap->wanted, memory_order_relaxed) == 0)
        atomic_store_explicit(&tap->taken, atomic_load_explicit(&tap->written, memory_order_acquire),
                              memory_order_release);
    atomic_store_explicit(&tap->wanted, wanted, memory_order_release);
    return 0;
}

static const char *tap_get(const char **at, size_t n)
{
    const char *data = *at;

    *at += n;
    return data;
}

static void tap_view(const struct tap_entry_record *entry, struct tap_view *view)
{
    const char *at = (const char *)(entry + 1);
    struct text *texts = &view->record.request_id;
    struct tap_message *message = &view->message;

    memcpy((char *)&view->record + TAP_REST_AT, entry->rest, TAP_REST_BYTES);
    view->record.series = NULL;
    view->record.message = NULL;
    view->has_heads = entry->wanted & TAP_WANTS_HEADS;
    view->body_most = entry->wanted >> TAP_BODY_SHIFT;
    for (size_t i = 0; i < TAP_N_TEXTS; i++)
        texts[i] = (struct text){tap_get(&at, entry->text_bytes[i]), entry->text_bytes[i]};
    view->record.reason = entry->reason_bytes > 0 ? tap_get(&at, entry->reason_bytes) : NULL;
    message->request_fields = (struct tap_fields){tap_get(&at, entry->request_fields), entry->request_fields};
    message->response_fields = (struct tap_fields){tap_get(&at, entry->response_fields), entry->response_fields};
    message->request_body = (struct text){tap_get(&at, entry->request_body), entry->request_body};
    message->response_body = (struct text){tap_get(&at, entry->response_body), entry->response_body};
}

bool tap_next(struct tap *tap, struct tap_view *ret_view)
{
    for (;;) {
        uint64_t taken = atomic_load_explicit(&tap->taken, memory_order_relaxed);
        const struct tap_entry *entry = (const void *)(tap->ring + (taken & (TAP_RING_BYTES - 1)));

        if (atomic_load_explicit(&tap->written, memory_order_acquire) == taken)
            return false;
        if (entry->is_record) {
            tap_view((const struct tap_entry_record *)(const void *)entry, ret_view);
            return true;
        }
        tap_taken(tap);
    }
}

void tap_taken(struct tap *tap)
{
    uint64_t taken = atomic_load_explicit(&tap->taken, memory_order_relaxed);
    const struct tap_entry *entry = (const void *)(tap->ring + (taken & (TAP_RING_BYTES - 1)));

    atomic_store_explicit(&tap->taken, taken + entry->bytes, memory_order_release);
}

/* ---- fields ---- */

struct tap_field_head {
    uint32_t name_bytes, value_bytes, secret;
};

size_t tap_field_bytes(const struct field *field)
{
    return sizeof(struct tap_field_head) + field->name.length + field->value.length;
}

char *tap_field_put(char *to, const struct field *field, bool secret)
{
    const struct tap_field_head head = {(uint32_t)field->name.length, (uint32_t)field->value.length, secret};

    to = tap_put(to, &head, sizeof(head));
    to = tap_put(to, field->name.data, field->name.length);
    return tap_put(to, field->value.data, field->value.length);
}

bool tap_field_next(struct tap_fields *fields, struct tap_field *ret_field)
{
    struct tap_field_head head;

    if (fields->length < sizeof(head))
        return false;
    memcpy(&head, fields->data, sizeof(head));
    fields->data += sizeof(head);
    ret_field->name = (struct text){fields->data, head.name_bytes};
    ret_field->value = (struct text){fields->data + head.name_bytes, head.value_bytes};
    ret_field->secret = head.secret;
    fields->data += head.name_bytes + head.value_bytes;
    fields->length -= sizeof(head) + head.name_bytes + head.value_bytes;
    return true;
}
