/* porthole version: ours and those of the libraries in use, which is what a bug report needs; or the licences. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "config/version.h"
#include "proxy/http/pattern.h"
#include "proxy/serve/frontend.h"

static int print_licenses(void)
{
    if (fputs(cmd_licenses, stdout) >= 0 && fflush(stdout) == 0)
        return CMD_OK;
    perror("porthole version: standard output");
    return CMD_FAILED;
}

static int print_versions(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    puts("porthole " PORTHOLE_VERSION);
    printf("libmicrohttpd %s%s\n", frontend_library_version(),
           frontend_library_will_do() ? "" : " (too old to serve: " PORTHOLE_LIBMICROHTTPD " or later is needed)");
    printf("libcurl %s (%s)\n", curl->version, curl->ssl_version ? curl->ssl_version : "without TLS");
    printf("jansson %s\n", config_library_version());
    printf("pcre2 %s\n", pattern_library_version());
    return CMD_OK;
}

int cmd_version(int argc, char **argv)
{
    struct cmd_args args;
    bool licenses = false;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        licenses = true;
    }
    if (!cmd_args_operands(&args, 0))
        return CMD_USAGE;
    return licenses ? print_licenses() : print_versions();
}
