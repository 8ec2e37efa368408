// cpp-httplib as a server on a Unix socket. usage: httplib_server SOCKET; serves until it is killed.
// /echo answers with the body, /chunked with it in chunks, /stream/N with N bytes "abcdefghijklmnopqrstuvwxyz...".
#include <httplib.h>

#include <string>

namespace
{

void echo(const httplib::Request &request, httplib::Response &response)
{
    response.set_header("X-Method", request.method);
    response.set_content(request.body, "application/octet-stream");
}

void chunked(const httplib::Request &request, httplib::Response &response)
{
    response.set_chunked_content_provider("application/octet-stream",
                                          [body = request.body](size_t offset, httplib::DataSink &sink) {
                                              size_t n = std::min<size_t>(1000, body.size() - offset);

                                              if (n > 0)
                                                  sink.write(body.data() + offset, n);
                                              if (offset + n == body.size())
                                                  sink.done();
                                              return true;
                                          });
}

void stream(const httplib::Request &request, httplib::Response &response)
{
    response.set_content_provider(std::stoul(request.matches[1]), "text/plain",
                                  [](size_t offset, size_t length, httplib::DataSink &sink) {
                                      std::string piece(std::min<size_t>(length, 30000), '\0');

                                      for (size_t i = 0; i < piece.size(); i++)
                                          piece[i] = static_cast<char>('a' + (offset + i) % 26);
                                      return sink.write(piece.data(), piece.size());
                                  });
}

} // namespace

int main(int argc, char **argv)
{
    httplib::Server server;

    if (argc != 2)
        return 2;
    server.Get("/echo", echo).Post("/echo", echo).Put("/echo", echo).Patch("/echo", echo).Delete("/echo", echo);
    server.Options("/echo", echo).Post("/chunked", chunked).Get(R"(/stream/(\d+))", stream);
    return server.set_address_family(AF_UNIX).listen(argv[1], 80) ? 0 : 1;
}
