/* The exposition: both formats as scrapers read them, and what is counted in series as samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/report/recorder.h"
#include "proxy/report/series_write.h"

static char *text; /* of the last exposition; owned */

static const char *ended(struct exposition *exposition)
{
    size_t length = 0;

    free(text);
    text = exposition_end(exposition, &length);
    assert_non_null(text);
    assert_int_equal(length, strlen(text));
    return text;
}

static void test_exposition_of_nothing(void **state)
{
    struct exposition exposition;

    (void)state;
    exposition_init(&exposition, EXPOSITION_PROMETHEUS);
    assert_string_equal(ended(&exposition), "");
    exposition_init(&exposition, EXPOSITION_OPENMETRICS);
    assert_string_equal(ended(&exposition), "# EOF\n");
}

static void test_exposition_names_counters_as_the_format_does(void **state)
{
    struct exposition exposition;

    (void)state;
    exposition_init(&exposition, EXPOSITION_PROMETHEUS);
    exposition_put(&exposition, FAMILY_CONFIG_RELOADS, (const char *const[]){"ok"}, 3);
    exposition_put(&exposition, FAMILY_CONFIG_RELOADS, (const char *const[]){"failed"}, UINT64_MAX);
    exposition_put(&exposition, FAMILY_READY, NULL, 1);
    assert_string_equal(ended(&exposition), "# HELP porthole_config_reloads_total Reloads that were tried, by result.\n"
                                            "# TYPE porthole_config_reloads_total counter\n"
                                            "porthole_config_reloads_total{result=\"ok\"} 3\n"
                                            "porthole_config_reloads_total{result=\"failed\"} 18446744073709551615\n"
                                            "# HELP porthole_ready Whether every listener is published, some target "
                                            "has a usable endpoint, and porthole is not draining.\n"
                                            "# TYPE porthole_ready gauge\n"
                                            "porthole_ready 1\n");
    exposition_init(&exposition, EXPOSITION_OPENMETRICS);
    exposition_put(&exposition, FAMILY_CONFIG_RELOADS, (const char *const[]){"ok"}, 3);
    assert_string_equal(ended(&exposition), "# HELP porthole_config_reloads Reloads that were tried, by result.\n"
                                            "# TYPE porthole_config_reloads counter\n"
                                            "porthole_config_reloads_total{result=\"ok\"} 3\n"
                                            "# EOF\n");
}

static void test_exposition_escapes_values_of_labels(void **state)
{
    struct exposition exposition;

    (void)state;
    exposition_init(&exposition, EXPOSITION_PROMETHEUS);
    exposition_put(&exposition, FAMILY_LISTENER_UP,
                   (const char *const[]){"a\"b\\c\nd\xC3\xA9\xFF"
                                         "e\xED\xA0\x80"},
                   0);
    assert_non_null(strstr(ended(&exposition), "{listener=\"a\\\"b\\\\c\\nd\xC3\xA9\xEF\xBF\xBD"
                                               "e\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"} 0\n"));
}

static void test_exposition_of_a_histogram_adds_up(void **state)
{
    struct histogram histogram = {0};
    struct histogram_sum sum = {.n = 0};
    struct exposition exposition;

    (void)state;
    histogram_observe(&histogram, &histogram_tunnels, 500000000);
    histogram_observe(&histogram, &histogram_tunnels, UINT64_C(2000000001));
    histogram_observe(&histogram, &histogram_tunnels, UINT64_C(90000000000000));
    histogram_read(&histogram, &sum);
    exposition_init(&exposition, EXPOSITION_PROMETHEUS);
    exposition_put_histogram(&exposition, FAMILY_TUNNEL_DURATION, (const char *const[]){"app"}, &histogram_tunnels,
                             &sum);
    ended(&exposition);
    assert_non_null(strstr(text, "\nporthole_tunnel_duration_seconds_bucket{listener=\"app\",le=\"1.0\"} 1\n"));
    assert_non_null(strstr(text, "\nporthole_tunnel_duration_seconds_bucket{listener=\"app\",le=\"10.0\"} 2\n"));
    assert_non_null(strstr(text, "\nporthole_tunnel_duration_seconds_bucket{listener=\"app\",le=\"21600.0\"} 2\n"));
    assert_non_null(strstr(text, "\nporthole_tunnel_duration_seconds_bucket{listener=\"app\",le=\"+Inf\"} 3\n"
                                 "porthole_tunnel_duration_seconds_sum{listener=\"app\"} 90002.500000001\n"
                                 "porthole_tunnel_duration_seconds_count{listener=\"app\"} 3\n"));
}

static void test_exposition_is_the_one_that_is_asked_for(void **state)
{
    static const struct {
        const char *accept;
        enum exposition_format format;
    } cases[] = {
        {"", EXPOSITION_PROMETHEUS},
        {"*/*", EXPOSITION_PROMETHEUS},
        {"text/plain", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text", EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/"
         "plain;version=0.0.4;q=0.5,*/*;q=0.1",
         EXPOSITION_OPENMETRICS},
        {"text/plain;q=0.9, Application/OpenMetrics-Text ; Q=0.1", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;q=0", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;q=0.000, text/plain;q=0", EXPOSITION_PROMETHEUS},
        {",;,;=,application/openmetrics-text;;", EXPOSITION_OPENMETRICS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(exposition_choose(text_of(cases[i].accept)), cases[i].format);
}

static void count(struct recorder *recorder, const struct series *route, const char *method, unsigned status,
                  enum outcome outcome)
{
    const struct tally tally = {.series = route,
                                .method = text_of(method),
                                .status = status,
                                .outcome = outcome,
                                .received_bytes = 5,
                                .begun = instant_now()};

    (void)!recorder_count(recorder, &tally, &(struct instant){0});
}

static void test_series_of_all_workers_are_told_together(void **state)
{
    static struct metrics metrics;
    struct recorder recorders[2] = {{.metrics = &metrics, .worker = 0}, {.metrics = &metrics, .worker = 1}};
    struct exposition exposition;
    struct series_book book;
    struct series *route, *unused;

    (void)state;
    assert_int_equal(series_book_init(&book, 2), 0);
    assert_non_null(series_find(&book, SERIES_LISTENER, NULL, "app"));
    route = series_find(&book, SERIES_ROUTE, "app", "read");
    unused = series_find(&book, SERIES_ROUTE, "app", "unused");
    assert_non_null(route);
    assert_non_null(unused);
    for (int i = 0; i < 10; i++)
        count(&recorders[i % 2], route, "GET", 200, OUTCOME_FORWARDED);
    count(&recorders[1], route, "BREW", 418, OUTCOME_FORWARDED);
    count(&recorders[0], route, "GET", 0, OUTCOME_CLIENT_GONE);
    for (unsigned code = 200; code < 500; code++)
        count(&recorders[0], route, "PUT", code, OUTCOME_FORWARDED);
    exposition_init(&exposition, EXPOSITION_PROMETHEUS);
    series_write_listeners(&book, &exposition);
    series_write_targets(&book, &exposition);
    ended(&exposition);
#define REQUESTS "\nporthole_requests_total{listener=\"app\",route=\"read\","
    assert_non_null(strstr(text, REQUESTS "method=\"GET\",code=\"200\",outcome=\"forwarded\"} 10\n"));
    assert_non_null(strstr(text, REQUESTS "method=\"other\",code=\"418\",outcome=\"forwarded\"} 1\n"));
    assert_non_null(strstr(text, REQUESTS "method=\"GET\",code=\"0\",outcome=\"client_gone\"} 1\n"));
    assert_non_null(strstr(text, REQUESTS "method=\"other\",code=\"other\",outcome=\"forwarded\"} 174\n"));
    assert_non_null(strstr(text, "_duration_seconds_count{listener=\"app\",route=\"read\"} 312\n"));
    assert_non_null(strstr(text, "\nporthole_request_body_bytes_total{listener=\"app\",route=\"read\"} 1560\n"));
    assert_null(strstr(text, "unused"));
    series_book_deinit(&book);
}

static int forget(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exposition_of_nothing),
        cmocka_unit_test(test_exposition_names_counters_as_the_format_does),
        cmocka_unit_test(test_exposition_escapes_values_of_labels),
        cmocka_unit_test(test_exposition_of_a_histogram_adds_up),
        cmocka_unit_test(test_exposition_is_the_one_that_is_asked_for),
        cmocka_unit_test(test_series_of_all_workers_are_told_together),
    };

    return cmocka_run_group_tests(tests, NULL, forget);
}
