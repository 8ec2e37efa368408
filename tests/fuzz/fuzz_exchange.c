/* Whole exchanges: clients, the proxy, and a target, from a script.
 *
 * The first byte picks a listener (exchange_world.c; '8' the one with rules), the second has flags: 1 sockets that take
 * little at a time, 2 clients over TCP, 4 at the end everybody waits for the deadlines instead of leaving, 8 clients of
 * several listeners. Then come steps of a byte each, some with an operand. After each the proxy does all it has to do,
 * or nothing when ',' follows, or a round when '.' follows. Texts end at 0xff; each '~' in them becomes another
 * character, so that messages can be told apart. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/exchange_judge.h"
#include "tests/fuzz/exchange_world.h"

#define SLOTS 3
#define SPREAD 4 /* so that an HTTP and a stream listener of one target come together */
#define SPREAD_OVER 8
#define LISTENER_OF_RULES 8
#define STEPS_MOST 96
#define TEXT_END 0xff
#define FILLER_KIB_MOST 48
#define FILLER_PERIOD 23
#define SIP_BYTES 100
#define PUMPS_MOST 200

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct {
    const uint8_t *at, *end;
    size_t listener;
    bool spread;                    /* slots are clients of several listeners */
    struct world_end *slots[SLOTS]; /* clients; NULL before they connect */
    size_t slot, target;            /* the ones that steps are about */
    unsigned n_marked;
} script;

static uint8_t script_byte(void)
{
    return script.at < script.end ? *script.at++ : 0;
}

/* ---- ends ---- */

static size_t listener_now(void)
{
    if (!script.spread || script.listener == LISTENER_OF_RULES)
        return script.listener;
    return (script.listener + SPREAD * script.slot) % SPREAD_OVER;
}

/* Whoever has left comes again. */
static struct world_end *client_now(void)
{
    struct world_end **slot = &script.slots[script.slot];

    if (!*slot || (*slot)->fd < 0) {
        struct world_end *client = world_connect(listener_now());

        if (client)
            *slot = client;
    }
    return *slot;
}

static bool target_accept(void)
{
    if (!world_accept())
        return false;
    script.target = world.n_targets - 1;
    return true;
}

static struct world_end *target_now(void)
{
    if (world.n_targets == 0 || world.targets[script.target].fd < 0)
        target_accept();
    return world.n_targets > 0 ? &world.targets[script.target] : NULL;
}

/* ---- what they say ---- */

static char mark_next(void)
{
    static const char marks[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    return marks[script.n_marked++ % (sizeof(marks) - 1)];
}

static void say_text(struct world_end *end)
{
    char text[4096];
    size_t n = 0;

    while (script.at < script.end && n < sizeof(text)) {
        uint8_t c = *script.at++;

        if (c == TEXT_END)
            break;
        text[n++] = c == '~' ? mark_next() : (char)c;
    }
    if (end && n > 0)
        world_say(end, text, n);
}

/* A body that goes on where it has ended, and does not repeat itself where a buffer ends. */
static void say_filler(struct world_end *end)
{
    static char text[(FILLER_KIB_MOST << 10) + FILLER_PERIOD];
    size_t n = (size_t)(script_byte() % FILLER_KIB_MOST + 1) << 10;

    if (text[0] == '\0')
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (char)('a' + i % FILLER_PERIOD);
    if (end)
        world_say(end, text + end->said.length % FILLER_PERIOD, n);
}

/* ---- steps ---- */

static bool hear_more(struct world_end *end)
{
    size_t before = end->heard.length;

    world_hear(end, WORLD_STREAM_BYTES);
    return end->heard.length > before;
}

/* Everybody takes what there is, until nothing comes any more. */
static void pump(void)
{
    bool more = true;

    for (int i = 0; i < PUMPS_MOST && more; i++) {
        more = target_accept();
        world_settle();
        for (size_t k = 0; k < world.n_clients; k++)
            more = hear_more(&world.clients[k]) || more;
        for (size_t k = 0; k < world.n_targets; k++)
            more = hear_more(&world.targets[k]) || more;
    }
}

static void pass_time(void)
{
    static const uint16_t ms[] = {5, 60, 260, 1001, 2001, 3005, 4005, 61000};

    world_pass_ms(ms[script_byte() % (sizeof(ms) / sizeof(ms[0]))]);
}

static void step_client(uint8_t step, struct world_end *client)
{
    if (step == '>')
        say_text(client);
    else if (step == 'b')
        say_filler(client);
    else if (!client)
        return;
    else if (step == 'h' || step == 'H')
        world_hear(client, step == 'h' ? WORLD_STREAM_BYTES : SIP_BYTES);
    else if (step == 'f')
        world_finish(client);
    else
        world_leave(client);
}

static void step_target(uint8_t step, struct world_end *target)
{
    if (step == '<')
        say_text(target);
    else if (step == 'B')
        say_filler(target);
    else if (!target)
        return;
    else if (step == 'r' || step == 'R')
        world_hear(target, step == 'r' ? WORLD_STREAM_BYTES : SIP_BYTES);
    else if (step == 'F')
        world_finish(target);
    else
        world_leave(target);
}

/* False when it is no step. */
static bool step_other(uint8_t step)
{
    switch (step) {
    case '0':
    case '1':
    case '2':
        script.slot = (size_t)(step - '0');
        client_now();
        return true;
    case 'a':
        return target_accept();
    case 'n':
        script.target = world.n_targets > 0 ? (script.target + 1) % world.n_targets : 0;
        return false;
    case 'd':
    case 'u':
        world_listen(step == 'u');
        return true;
    case 's':
    case 'S':
        world_stop(step == 'S');
        return true;
    case 't':
        pass_time();
        return true;
    case 'p':
        pump();
        return true;
    default:
        return false;
    }
}

static void take_step(void)
{
    uint8_t step = *script.at++, then;

    if (step != 0 && strchr(">bhHfx", step))
        step_client(step, step == '>' || step == 'b' ? client_now() : script.slots[script.slot]);
    else if (step != 0 && strchr("<BrRFX", step))
        step_target(step, target_now());
    else if (!step_other(step))
        return;
    then = script.at < script.end ? *script.at : 0;
    if (then == '.')
        world_turn();
    else if (then != ',')
        world_settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 3)
        return 0;
    memset(&script, 0, sizeof(script));
    script.listener = bytes[0] == '8' ? LISTENER_OF_RULES : bytes[0] % SPREAD_OVER;
    script.spread = bytes[1] & 8;
    script.at = bytes + 2;
    script.end = bytes + size;
    world_open(bytes[1] & 1, bytes[1] & 2);
    for (int i = 0; i < STEPS_MOST && script.at < script.end; i++)
        take_step();
    world_close(bytes[1] & 4);
    judge();
    return 0;
}
