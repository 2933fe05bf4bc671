#include "base/strings.h"
#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {

std::string reviews_json(long long product, const std::string& pod, const std::string& cluster, const ReviewsLook& look,
                         int stars1, int stars2) {
  auto review = [&](const char* who, const char* text, int stars) {
    auto out = base::Value::object({{"reviewer", who}, {"text", text}});
    if (look.ratings)
      out.set("rating", stars < 0 ? base::Value::object({{"error", "Ratings service is currently unavailable"}})
                                  : base::Value::object({{"stars", stars}, {"color", look.color}}));
    return out;
  };
  return base::Value::object(
             {{"id", std::to_string(product)},
              {"podname", pod},
              {"clustername", cluster},
              {"reviews",
               base::Value::array(
                   {review("Reviewer1", "Two pairs of twins, one day, and not a dull minute. I laughed until the abbess came.",
                           stars1),
                    review("Reviewer2", "Quick, loud and merry. For the great soliloquies, look elsewhere on the shelf.",
                           stars2)})}})
      .dump();
}

int reviews_main(uint16_t port, std::string_view version) {
  Service service;
  ReviewsLook look;
  look.ratings = base::iequals(env_or("ENABLE_RATINGS", version == "v2" || version == "v3" ? "true" : "false"), "true");
  look.color = env_or("STAR_COLOR", version == "v3" ? "red" : "black");
  std::string pod = host_name();
  std::string cluster = env_or("CLUSTER_NAME", "null");
  std::string domain = env_or("SERVICES_DOMAIN", "");
  std::string ratings = fmt::format("http://{}{}:{}/ratings", env_or("RATINGS_HOSTNAME", "ratings"),
                                    domain.empty() ? "" : "." + domain, env_or("RATINGS_SERVICE_PORT", "9080"));
  // The time-outs of the original, which differ between versions: the fault injection task of Istio's documentation
  // is about finding that out.
  base::Nanos timeout = look.color == "black" ? std::chrono::milliseconds(10'000) : std::chrono::milliseconds(2'500);

  return service.serve({{"", port}}, [&](Exchange exchange) {
    auto path = path_segments(exchange->request().path());
    if (path.size() == 1 && path[0] == "health")
      return answer(exchange, 200, "application/json", R"({"status": "Reviews is healthy"})");
    if (path.size() != 2 || path[0] != "reviews") return answer(exchange, 404, "text/plain", "not found\n");
    auto product = number_within(path[1], INT32_MIN, INT32_MAX);
    if (!product) return answer(exchange, 404, "text/plain", "not found\n");
    auto finish = [&, exchange, product = *product](int stars1, int stars2) {
      answer(exchange, 200, "application/json", reviews_json(product, pod, cluster, look, stars1, stars2));
    };
    if (!look.ratings) return finish(-1, -1);
    auto headers = forwarded(exchange->request());
    headers.add("accept", "application/json");
    service.client().fetch("GET", fmt::format("{}/{}", ratings, *product), std::move(headers), "", timeout,
                           [&, finish](base::Result<http::Response> response) {
                             if (!response) {
                               fmt::print(stderr, "Error: unable to contact {}: {}\n", ratings, response.error().text());
                               return finish(-1, -1);
                             }
                             if (response->status != 200) {
                               fmt::print(stdout, "Error: unable to contact {} got status of {}\n", ratings, response->status);
                               return finish(-1, -1);
                             }
                             auto body = base::parse_json(response->body);
                             if (!body) return finish(-1, -1);
                             const base::Value& stars = body->at("ratings");
                             finish(static_cast<int>(stars["Reviewer1"].as_int(-1)), static_cast<int>(stars["Reviewer2"].as_int(-1)));
                           });
  });
}

}  // namespace fairlead::sample
