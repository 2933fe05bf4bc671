#include <map>

#include "base/strings.h"
#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

constexpr base::Nanos kTimeout = std::chrono::seconds(3);
constexpr int kReviewsAttempts = 2;  // the original's retry, which fault injection tutorials stumble over on purpose

constexpr std::string_view kCookieName = "session=";

struct Answer {
  int status = 500;
  base::Value body;
};
using Done = std::function<void(Answer)>;

class ProductPage {
 public:
  explicit ProductPage(Service& service) : service_(service) {
    std::string domain = env_or("SERVICES_DOMAIN", "");
    if (!domain.empty()) domain = "." + domain;
    auto base_url = [&](const char* host_env, const char* port_env, const char* name) {
      return fmt::format("http://{}{}:{}/{}/", env_or(host_env, name), domain, env_or(port_env, "9080"), name);
    };
    details_ = base_url("DETAILS_HOSTNAME", "DETAILS_SERVICE_PORT", "details");
    reviews_ = base_url("REVIEWS_HOSTNAME", "REVIEWS_SERVICE_PORT", "reviews");
    ratings_ = base_url("RATINGS_HOSTNAME", "RATINGS_SERVICE_PORT", "ratings");
    flood_ = number_within(env_or("FLOOD_FACTOR", "0"), 0, 1000).value_or(0);
  }

  void serve(const Exchange& exchange) {
    const auto& request = exchange->request();
    std::string_view path = request.path();
    if (path == "/" || path == "/index.html") return answer(exchange, 200, kHtml, productpage_index_html());
    if (path == "/health") return answer(exchange, 200, kHtml, "Product page is healthy");
    if (path == "/metrics") return answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", metrics());
    if (path == "/login") return login(exchange);
    if (path == "/logout") return go_back(exchange, "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/");
    if (path == "/productpage") return page(exchange);
    auto parts = path_segments(path);
    if (parts.size() >= 3 && parts[0] == "api" && parts[1] == "v1" && parts[2] == "products") return api(exchange, parts);
    answer(exchange, 404, kHtml, "<!doctype html><title>404 Not Found</title><h1>Not Found</h1>\n");
  }

 private:
  static constexpr std::string_view kHtml = "text/html; charset=utf-8";

  http::Headers headers_for(const http::RequestHead& request) const {
    http::Headers headers = forwarded(request, false);
    if (std::string user = session_user(request.headers.get("cookie")); !user.empty()) headers.set("end-user", user);
    return headers;
  }

  void page(const Exchange& exchange) {
    http::Headers headers = headers_for(exchange->request());
    std::string user = session_user(exchange->request().headers.get("cookie"));
    // One after the other, as in the original: the time of the page is the sum.
    get_details("0", headers, [this, exchange, headers, user](Answer details) {
      for (long long i = 0; i < flood_; ++i) service_.client().fetch("GET", reviews_ + "0", headers, "", kTimeout, [](auto) {});
      get_reviews("0", headers, kReviewsAttempts, [exchange, user, details = std::move(details)](Answer reviews) {
        answer(exchange, 200, kHtml, productpage_html(user, details.status, details.body, reviews.status, reviews.body));
      });
    });
  }

  void api(const Exchange& exchange, const std::vector<std::string>& parts) {
    auto json = [exchange](Answer a) { answer(exchange, a.status, "application/json", a.body.dump()); };
    if (parts.size() == 3) return json({200, base::Value::array({product()})});
    std::string id = base::url_encode(parts[3]);
    http::Headers headers = headers_for(exchange->request());
    if (parts.size() == 4) return get_details(id, headers, json);
    if (parts.size() == 5 && parts[4] == "reviews") return get_reviews(id, headers, kReviewsAttempts, json);
    if (parts.size() == 5 && parts[4] == "ratings") return get(ratings_ + id, headers, "ratings", json);
    answer(exchange, 404, kHtml, "<!doctype html><title>404 Not Found</title><h1>Not Found</h1>\n");
  }

  void get_details(const std::string& id, const http::Headers& headers, Done done) {
    get(details_ + id, headers, "details", std::move(done));
  }

  void get_reviews(const std::string& id, const http::Headers& headers, int attempts, Done done) {
    get(reviews_ + id, headers, "reviews", [=, this, done = std::move(done)](Answer a) {
      if (a.status == 200 || attempts <= 1) return done(std::move(a));
      get_reviews(id, headers, attempts - 1, done);
    });
  }

  // 200 and the JSON, or the status (500 when there was none) and a sentence for the reader.
  void get(const std::string& url, const http::Headers& headers, std::string_view what, Done done) {
    service_.client().fetch("GET", url, headers, "", kTimeout,
                            [this, what, done = std::move(done)](base::Result<http::Response> response) {
                              Answer a;
                              if (response && response->status == 200) {
                                if (auto body = base::parse_json(response->body)) a = {200, std::move(*body)};
                              } else if (response) {
                                a.status = response->status;
                              }
                              ++results_[{std::string(what), a.status}];
                              if (a.status != 200)
                                a.body = base::Value::object(
                                    {{"error", fmt::format("Sorry, product {} are currently unavailable for this book.", what)}});
                              done(std::move(a));
                            });
  }

  static base::Value product() {
    return base::Value::object(
        {{"id", 0},
         {"title", "The Comedy of Errors"},
         {"descriptionHtml",
          "Two pairs of twins, parted by a shipwreck, and a whole town that takes each for the other: one of "
          "<b>William Shakespeare's</b> first plays, his shortest, and the nearest he came to pure farce. "
          "<a href=\"https://en.wikipedia.org/wiki/The_Comedy_of_Errors\">Wikipedia Summary</a>"}});
  }

  void login(const Exchange& exchange) {
    if (exchange->request().method != "POST") return answer(exchange, 405, kHtml, "Method Not Allowed\n");
    exchange->read_body(64 * 1024, [exchange](std::string body) {
      std::string user = http::query_param(exchange->request().query(), "username");
      if (user.empty()) user = http::query_param(body, "username");
      if (user.empty()) return answer(exchange, 400, kHtml, "username is missing\n");
      go_back(exchange, std::string(kCookieName) + session_cookie(user) + "; HttpOnly; Path=/");
    });
  }

  static void go_back(const Exchange& exchange, std::string_view cookie) {
    std::string_view referer = exchange->request().headers.get("referer");
    http::Headers headers;
    headers.add("content-type", kHtml);
    headers.add("location", referer.empty() ? "/productpage" : referer);
    headers.add("set-cookie", cookie);
    headers.add("vary", "Cookie");
    answer(exchange, 302, std::move(headers), "<!doctype html><title>Redirecting...</title>\n");
  }

  std::string metrics() const {
    std::string out = "# HELP request_result_total Results of requests\n# TYPE request_result_total counter\n";
    for (const auto& [key, count] : results_)
      out += fmt::format("request_result_total{{destination_app=\"{}\",response_code=\"{}\"}} {}\n", key.first, key.second, count);
    return out;
  }

  Service& service_;
  std::string details_, reviews_, ratings_;
  long long flood_ = 0;
  std::map<std::pair<std::string, int>, uint64_t> results_;
};

}  // namespace

std::string session_cookie(std::string_view user) {
  return base::base64url_encode(base::Value::object({{"user", user}}).dump());
}

std::string session_user(std::string_view cookie_header) {
  for (auto piece : base::split(cookie_header, ';')) {
    piece = base::trim(piece);
    if (!piece.starts_with(kCookieName)) continue;
    auto json = base::base64url_decode(piece.substr(kCookieName.size()));
    if (!json) continue;
    auto session = base::parse_json(*json);
    if (!session) continue;
    std::string user = (*session)["user"].as_string();
    // It goes into a header field: nothing that could end the line.
    for (unsigned char c : user)
      if (c < 0x20 || c == 0x7f) return "";
    return user;
  }
  return "";
}

int productpage_main(uint16_t port) {
  Service service;
  ProductPage page(service);
  fmt::print(stdout, "start at port {}\n", port);
  return service.serve({{"", port}}, [&](Exchange exchange) { page.serve(exchange); });
}

}  // namespace fairlead::sample
