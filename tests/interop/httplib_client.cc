// cpp-httplib as a client over a Unix socket: every request as a user of that library would write it, each answer
// compared. usage: httplib_client SOCKET (the target behind it echoes). Exit status 0 when all was as it should be.
#include <httplib.h>

#include <iostream>
#include <string>

namespace
{

int failures = 0;

void expect(bool condition, const char *what)
{
    if (condition)
        return;
    std::cerr << "not as it should be: " << what << "\n";
    failures++;
}

std::string pattern(size_t length)
{
    std::string text(length, '\0');

    for (size_t i = 0; i < length; i++)
        text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
    return text;
}

void expect_echo(const httplib::Result &result, const std::string &body, const char *what)
{
    expect(static_cast<bool>(result), what);
    if (!result)
        std::cerr << "    " << httplib::to_string(result.error()) << "\n";
    else if (result->status != 200 || result->body != body)
        std::cerr << "    status " << result->status << ", " << result->body.size()
                  << " bytes, first: " << result->body.substr(0, 200) << "\n";
    if (result)
        expect(result->status == 200 && result->body == body, what);
}

void try_methods(httplib::Client &client)
{
    const std::string body = pattern(5000);

    expect_echo(client.Get("/get"), "", "GET");
    expect_echo(client.Head("/head"), "", "HEAD");
    expect_echo(client.Post("/post", body, "text/plain"), body, "POST");
    expect_echo(client.Put("/put", body, "text/plain"), body, "PUT");
    expect_echo(client.Patch("/patch", body, "text/plain"), body, "PATCH");
    expect_echo(client.Delete("/delete", body, "text/plain"), body, "DELETE");
    expect_echo(client.Options("/options"), "", "OPTIONS");
}

void try_chunked(httplib::Client &client)
{
    const std::string body = pattern(1000000);
    auto provider = [&](size_t offset, httplib::DataSink &sink) {
        size_t n = std::min<size_t>(100000, body.size() - offset);

        sink.write(body.data() + offset, n);
        if (offset + n == body.size())
            sink.done();
        return true;
    };

    expect_echo(client.Post("/chunked", provider, "text/plain"), body, "POST, chunked");
    expect_echo(client.Post("/down", httplib::Headers{{"X-Answer", "chunked"}}, body, "text/plain"), body,
                "chunked response");
}

void try_stream(httplib::Client &client)
{
    const std::string body = pattern(3000000);
    std::string got;
    httplib::Request request;
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;

    request.method = "POST";
    request.path = "/stream";
    request.body = body;
    request.content_receiver = [&](const char *data, size_t length, uint64_t, uint64_t) {
        got.append(data, length);
        return true;
    };
    expect(client.send(request, response, error) && response.status == 200 && got == body,
           "response by content receiver");
}

void try_all(const char *path, bool keep_alive)
{
    httplib::Client client(path);

    client.set_address_family(AF_UNIX);
    client.set_keep_alive(keep_alive);
    client.set_read_timeout(10, 0);
    for (int i = 0; i < 3; i++)
        try_methods(client);
    try_chunked(client);
    try_stream(client);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    try_all(argv[1], true);
    try_all(argv[1], false);
    return failures > 0;
}
