#include <map>
#include <random>

#include "sample/bookinfo.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

// SERVICE_VERSION picks a behaviour, as in the original: v1, or one that fails in a known way.
class Ratings {
 public:
  Ratings(Service& service, std::string version) : service_(service), version_(std::move(version)) {
    if (version_ == "v-unavailable") flip(std::chrono::seconds(60));
    if (version_ == "v-unhealthy") flip(std::chrono::minutes(15));
  }

  void serve(const Exchange& exchange) {
    const auto& request = exchange->request();
    auto path = path_segments(request.path());
    if (path.size() == 1 && path[0] == "health") {
      bool healthy = version_ != "v-unhealthy" || !unavailable_;
      return json(exchange, healthy ? 200 : 500,
                  base::Value::object({{"status", healthy ? "Ratings is healthy" : "Ratings is not healthy"}}));
    }
    if (path.empty() || path[0] != "ratings") return answer(exchange, 404, "text/plain", "not found\n");
    auto id = number_within(path.back(), 0, INT64_MAX);
    if (!id) return error(exchange, 400, "please provide numeric product ID");
    if (request.method == "POST") return post(exchange, *id);
    if (request.method != "GET" && request.method != "HEAD") return error(exchange, 405, "GET or POST");
    get(exchange, *id);
  }

 private:
  void flip(base::Nanos every) {
    service_.loop().after(every, [this, every] {
      unavailable_ = !unavailable_;
      flip(every);
    });
  }

  static void json(const Exchange& exchange, int status, const base::Value& body) {
    answer(exchange, status, "application/json", body.dump());
  }
  static void error(const Exchange& exchange, int status, std::string_view text) {
    json(exchange, status, base::Value::object({{"error", text}}));
  }

  void post(const Exchange& exchange, long long id) {
    exchange->read_body(1 << 20, [this, exchange, id](std::string body) {
      auto ratings = base::parse_json(body);
      if (!ratings) return error(exchange, 400, "please provide valid ratings JSON");
      if (version_ == "v2") return error(exchange, 501, "Post not implemented for database backed ratings");
      if (posted_.size() >= kMaxPosted && !posted_.contains(id)) return error(exchange, 507, "too many products rated");
      posted_[id] = std::move(*ratings);
      json(exchange, 200, rating(id));
    });
  }

  void get(const Exchange& exchange, long long id) {
    bool coin = std::uniform_int_distribution<int>(0, 1)(random_) == 1;
    if (version_ == "v2") return error(exchange, 500, "could not connect to ratings database");
    if (unavailable_ || (version_ == "v-faulty" && coin)) return error(exchange, 503, "Service unavailable");
    if (version_ == "v-delayed" && coin)
      return service_.loop().after(std::chrono::seconds(7), [this, exchange, id] { json(exchange, 200, rating(id)); });
    json(exchange, 200, rating(id));
  }

  base::Value rating(long long id) const {
    auto it = posted_.find(id);
    return base::Value::object(
        {{"id", id},
         {"ratings", it != posted_.end() ? it->second : base::Value::object({{"Reviewer1", 5}, {"Reviewer2", 4}})}});
  }

  static constexpr size_t kMaxPosted = 10'000;
  Service& service_;
  std::string version_;
  bool unavailable_ = false;
  std::map<long long, base::Value> posted_;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace

int ratings_main(uint16_t port, std::string_view version) {
  Service service;
  Ratings ratings(service, env_or("SERVICE_VERSION", version));
  fmt::print(stdout, "Server listening on: http://0.0.0.0:{}\n", port);
  return service.serve({{"", port}}, [&](Exchange exchange) { ratings.serve(exchange); });
}

}  // namespace fairlead::sample
