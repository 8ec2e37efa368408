/* porthole run: serve a configuration until told to stop. */
#include <curl/curl.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "config/load.h"
#include "config/version.h"
#include "proxy/serve/frontend.h"
#include "proxy/server.h"

/* What a bug report needs, first of all. */
static void run_tell_start(const struct snapshot *snapshot)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    log_info("porthole " PORTHOLE_VERSION " with libmicrohttpd %s, libcurl %s (%s), jansson %s",
             frontend_library_version(), curl->version, curl->ssl_version ? curl->ssl_version : "without TLS",
             config_library_version());
    log_info("configuration %s, sha256 %s: %zu listeners, %zu targets, %u workers, drain %llu ms", snapshot->source,
             snapshot->sha256, snapshot->n_listeners, snapshot->n_targets, snapshot->n_workers,
             (unsigned long long)snapshot->drain_ms);
}

static int run_serve(struct snapshot *snapshot, bool takeover)
{
    const struct server_options options = {.takeover = takeover};
    struct error error = ERROR_INIT;
    struct server *server = NULL;
    int r = server_new(snapshot, &options, &server, &error);

    if (r < 0) {
        log_error("%s", error.message);
        return CMD_FAILED;
    }
    r = server_run(server);
    server_free(server);
    return r < 0 ? CMD_FAILED : CMD_OK;
}

int cmd_run(int argc, char **argv)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    const char *file = NULL;
    bool takeover = false;
    struct cmd_args args;
    int id, r;

    cmd_args_init(&args, argc, argv);
    while ((id = cmd_args_next(&args)) > 0) {
        if (id == 'c')
            file = args.value;
        else if (id == CMD_OPTION_TAKEOVER)
            takeover = true;
    }
    if (id < 0 || !cmd_args_operands(&args, 0))
        return CMD_USAGE;
    if (!file)
        return cmd_usage_error(argv[0], "run needs a configuration: -c FILE");
    r = config_load(file, &snapshot, &problems);
    if (r != 0) {
        problems_print(&problems, file, stderr);
        problems_deinit(&problems);
        return r > 0 ? CMD_CONFIGURATION : CMD_FAILED;
    }
    log_configure(snapshot->log.level, snapshot->log.format);
    run_tell_start(snapshot);
    r = run_serve(snapshot, takeover);
    snapshot_unref(snapshot);
    return r;
}
