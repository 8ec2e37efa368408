/* porthole run: serve a configuration until told to stop. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/load.h"
#include "config/version.h"
#include "proxy/http/pattern.h"
#include "proxy/listen/passed.h"
#include "proxy/reload.h"
#include "proxy/sandbox/sandbox.h"
#include "proxy/serve/frontend.h"
#include "proxy/server.h"

/* What a bug report needs, first of all. */
static void run_tell_start(const struct snapshot *snapshot)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    LOG_EVENT(LOG_LEVEL_INFO, "starting", LOG_STRING("porthole", PORTHOLE_VERSION),
              LOG_STRING("libmicrohttpd", frontend_library_version()), LOG_STRING("libcurl", curl->version),
              LOG_STRING("tls", curl->ssl_version), LOG_STRING("jansson", config_library_version()),
              LOG_STRING("pcre2", pattern_library_version()));
    LOG_EVENT(LOG_LEVEL_INFO, "configuration", LOG_STRING("file", snapshot->source),
              LOG_STRING("sha256", snapshot->sha256), LOG_NUMBER("listeners", snapshot->n_listeners),
              LOG_NUMBER("targets", snapshot->n_targets), LOG_NUMBER("workers", snapshot->n_workers),
              LOG_NUMBER("drain_ms", snapshot->drain_ms));
}

static int run_serve(struct snapshot *snapshot, bool takeover)
{
    const struct server_options options = {.takeover = takeover};
    struct error error = ERROR_INIT;
    struct server *server = NULL;
    int r = server_new(snapshot, &options, &server, &error);

    if (r == 0)
        r = sandbox_enter(snapshot, &error);
    if (r == 0)
        r = server_start(server, &error);
    if (r < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "cannot start", LOG_STRING("error", error.message));
    else
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

    passed_collect();
    cmd_args_init(&args, argc, argv);
    while ((id = cmd_args_next(&args)) > 0) {
        if (id == 'c')
            file = args.value;
        else if (id == CMD_OPTION_TAKEOVER)
            takeover = true;
    }
    file = id < 0 ? NULL : cmd_args_file(&args, file);
    if (!file)
        return CMD_USAGE;
    r = config_load(file, &snapshot, &problems);
    if (r != 0) {
        problems_print(&problems, file, "", stderr);
        problems_deinit(&problems);
        if (r < 0)
            fprintf(stderr, "porthole run: cannot read %s: %s\n", file, strerror(-r));
        return r > 0 ? CMD_CONFIGURATION : CMD_FAILED;
    }
    log_configure(snapshot->log.level, snapshot->log.format);
    run_tell_start(snapshot);
    reload_tell_warnings(&problems, file);
    problems_deinit(&problems);
    r = run_serve(snapshot, takeover);
    snapshot_unref(snapshot);
    return r;
}
