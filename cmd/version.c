/* porthole version: ours and those of the libraries that are loaded, which is what a bug report needs. */
#include <curl/curl.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "config/version.h"
#include "proxy/serve/frontend.h"

int cmd_version(int argc, char **argv)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    struct cmd_args args;

    cmd_args_init(&args, argc, argv);
    if (cmd_args_next(&args) != 0 || !cmd_args_operands(&args, 0))
        return CMD_USAGE;
    puts("porthole " PORTHOLE_VERSION);
    printf("libmicrohttpd %s%s\n", frontend_library_version(),
           frontend_library_will_do() ? "" : " (too old to serve: " PORTHOLE_LIBMICROHTTPD " or later is needed)");
    printf("libcurl %s (%s)\n", curl->version, curl->ssl_version ? curl->ssl_version : "without TLS");
    printf("jansson %s\n", config_library_version());
    return CMD_OK;
}
