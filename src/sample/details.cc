#include <cstdio>

#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

base::Value book(long long id) {
  return base::Value::object({{"id", id},
                              {"author", "William Shakespeare"},
                              {"year", 1595},
                              {"type", "paperback"},
                              {"pages", 200},
                              {"publisher", "PublisherA"},
                              {"language", "English"},
                              {"ISBN-10", "1234567890"},
                              {"ISBN-13", "123-1234567890"}});
}

std::string isbn(const base::Value& volume, std::string_view type) {
  for (const auto& identifier : volume["industryIdentifiers"].items())
    if (identifier["type"].as_string() == type) return identifier["identifier"].as_string();
  return "";
}

// v2 asks the book service of the outside world; the edition is one whose only author is Shakespeare.
void external_book(Service& service, const Exchange& exchange, long long id) {
  if (env_or("DO_NOT_ENCRYPT", "") != "true")
    return answer(exchange, 400, "application/json",
                  R"({"error":"set DO_NOT_ENCRYPT to \"true\": this details service leaves TLS to its sidecar"})");
  service.client().fetch(
      "GET", "http://www.googleapis.com/books/v1/volumes?q=isbn:0486424618", forwarded(exchange->request()), "",
      std::chrono::seconds(5), [exchange, id](base::Result<http::Response> response) {
        auto failed = [&](const std::string& why) {
          answer(exchange, 400, "application/json", base::Value::object({{"error", why}}).dump());
        };
        if (!response) return failed(response.error().text());
        auto parsed = base::parse_json(response->body);
        if (!parsed) return failed("the book service answered " + std::to_string(response->status) + " without JSON");
        const base::Value& volume = parsed->at("items.0.volumeInfo");
        auto book = base::Value::object({{"id", id},
                                         {"author", volume["authors"][0]},
                                         {"year", volume["publishedDate"]},
                                         {"type", volume["printType"].as_string() == "BOOK" ? "paperback" : "unknown"},
                                         {"pages", volume["pageCount"]},
                                         {"publisher", volume["publisher"]},
                                         {"language", volume["language"].as_string() == "en" ? "English" : "unknown"},
                                         {"ISBN-10", isbn(volume, "ISBN_10")},
                                         {"ISBN-13", isbn(volume, "ISBN_13")}});
        answer(exchange, 200, "application/json", book.dump());
      });
}

}  // namespace

int details_main(uint16_t port, std::string_view version) {
  Service service;
  bool external = env_or("ENABLE_EXTERNAL_BOOK_SERVICE", version == "v2" ? "true" : "false") == "true";
  return service.serve({{"", port}}, [&](Exchange exchange) {
    auto path = path_segments(exchange->request().path());
    if (path.size() == 1 && path[0] == "health")
      return answer(exchange, 200, "application/json", R"({"status":"Details is healthy"})");
    if (path.empty() || path[0] != "details") return answer(exchange, 404, "text/plain", "not found\n");
    auto id = number_within(path.back(), INT64_MIN, INT64_MAX);
    if (!id) return answer(exchange, 400, "application/json", R"({"error":"please provide numeric product id"})");
    if (external) return external_book(service, exchange, *id);
    answer(exchange, 200, "application/json", book(*id).dump());
  });
}

}  // namespace fairlead::sample
