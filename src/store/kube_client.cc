#include "store/kube_client.h"

#include <fmt/format.h>

#include <random>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "mesh/kinds.h"
#include "store/informer.h"

namespace fairlead::store {
namespace {

using base::Code;

constexpr base::Nanos kMinBackoff = std::chrono::milliseconds(50);
constexpr base::Nanos kMaxBackoff = std::chrono::seconds(10);
constexpr int kPageSize = 500;
constexpr int kWatchSeconds = 300;  // the server ends a watch after this; a client timer guards against a silent peer

std::string with_query(std::string path, const std::vector<std::pair<std::string, std::string>>& query) {
  char separator = path.find('?') == std::string::npos ? '?' : '&';
  for (const auto& [name, value] : query) {
    if (value.empty()) continue;
    path += fmt::format("{}{}={}", std::exchange(separator, '&'), name, base::url_encode(value));
  }
  return path;
}

http::Headers headers_for(const KubeConfig& config, std::string_view content_type) {
  http::Headers h;
  h.add("accept", "application/json");
  h.add("user-agent", config.user_agent);
  if (!content_type.empty()) h.add("content-type", content_type);
  std::string token = config.token_file.empty() ? config.token : std::string(base::trim(base::read_file(config.token_file).value_or("")));
  if (!token.empty()) h.add("authorization", "Bearer " + token);
  return h;
}

base::Result<http::ClientOptions> client_options(const KubeConfig& config) {
  http::ClientOptions options;
  if (config.server.starts_with("https:")) {
    auto tls = config.tls;
    tls.alpn = {"h2", "http/1.1"};
    auto context = io::TlsContext::client(tls);
    if (!context) return std::unexpected(context.error());
    options.tls = *context;
    options.tls_server_name = config.tls_server_name;
    options.http2 = true;  // one connection carries all watches
  }
  return options;
}

base::Result<base::Value> answer(const base::Result<http::Response>& response) {
  if (!response) return std::unexpected(response.error());
  if (response->status / 100 != 2) return std::unexpected(kube_error(response->status, response->body));
  if (response->body.empty()) return base::Value();
  auto value = base::parse_json(response->body);
  if (!value) return base::Value(response->body);  // /version aside, some endpoints (healthz, logs) answer text
  return value;
}

base::Nanos jittered(base::Nanos backoff) {
  thread_local std::minstd_rand random(std::random_device{}());
  return base::Nanos(static_cast<int64_t>(static_cast<double>(backoff.count()) *
                                          std::uniform_real_distribution<>(0.7, 1.3)(random)));
}

class RestInformer;

class RestClient final : public KubeClient {
 public:
  RestClient(io::Loop& loop, KubeConfig config, http::ClientOptions options)
      : loop_(loop), config_(std::move(config)), http_(loop, std::move(options)) {
    while (config_.server.ends_with('/')) config_.server.pop_back();
  }
  void request(std::string_view method, const std::string& path, std::string content_type, std::string body, Done done,
               base::Nanos timeout) override {
    http_.fetch(method, config_.server + path, headers_for(config_, content_type), std::move(body), timeout,
                [done = std::move(done)](base::Result<http::Response> response) { done(answer(response)); });
  }
  std::unique_ptr<Informer> inform(std::string_view resource, std::string_view ns, std::string_view label_selector,
                                   std::string_view field_selector, Informer::Callbacks callbacks) override;
  const KubeConfig& config() const override { return config_; }

  std::unique_ptr<http::Call> stream(const std::string& path, http::Call::Callbacks callbacks) {
    http::RequestHead head;
    head.method = "GET";
    head.headers = headers_for(config_, "");
    return http_.start(config_.server + path, std::move(head), false, std::move(callbacks));
  }

 private:
  io::Loop& loop_;
  KubeConfig config_;
  http::Client http_;
};

// kWaiting --timer--> kListing --last page--> kWatching --end, error--> kWaiting --timer--> kWatching
//                        ^------------------------- 410 Gone ------------------------------'
class RestInformer final : public Informer {
 public:
  RestInformer(io::Loop& loop, RestClient& client, std::string path, std::string api_version, std::string kind,
               std::string label_selector, std::string field_selector, Callbacks callbacks)
      : loop_(loop), client_(client), path_(std::move(path)), labels_(std::move(label_selector)),
        fields_(std::move(field_selector)), callbacks_(std::move(callbacks)), core_(std::move(api_version), std::move(kind)),
        timer_(loop, [this] { on_timer(); }) {
    timer_.arm(base::Nanos(0));
  }
  bool synced() const override { return synced_; }
  const std::map<std::pair<std::string, std::string>, ObjectPtr>& objects() const override { return core_.objects(); }

 private:
  enum class State : unsigned char { kWaiting, kListing, kWatching };

  void on_timer() {
    if (state_ == State::kWatching) {  // the guard: the server should have ended this watch long ago
      stop_call();
      retry({Code::kDeadlineExceeded, "the watch went silent", path_});
    } else if (core_.version().empty() || relist_) {
      list("");
    } else {
      watch();
    }
  }

  void list(std::string continue_token) {
    state_ = State::kListing;
    if (continue_token.empty()) core_.restart_list();
    std::weak_ptr<char> alive = alive_;
    client_.request("GET",
                    with_query(path_, {{"labelSelector", labels_}, {"fieldSelector", fields_},
                                       {"limit", std::to_string(kPageSize)}, {"continue", continue_token}}),
                    "", "", [this, alive](base::Result<base::Value> result) {
                      if (!alive.expired()) on_list(std::move(result));
                    }, std::chrono::seconds(30));
  }

  void on_list(base::Result<base::Value> result) {
    if (!result) return retry(result.error());
    std::string more = (*result)["metadata"]["continue"].as_string();
    tell(core_.page(std::move(*result), more.empty()));
    if (!more.empty()) return list(more);
    relist_ = false;
    if (!synced_) {
      synced_ = true;
      if (callbacks_.on_synced) callbacks_.on_synced();
    }
    watch();
  }

  void watch() {
    state_ = State::kWatching;
    core_.reset_stream();
    status_ = 0;
    error_body_.clear();
    timer_.arm(std::chrono::seconds(kWatchSeconds + 30));
    http::Call::Callbacks callbacks;
    callbacks.on_head = [this](const http::ResponseHead& head) {
      status_ = head.status;
      if (status_ == 200) backoff_ = kMinBackoff;
    };
    callbacks.on_data = [this](std::string_view bytes) { on_data(bytes); };
    callbacks.on_end = [this](base::Result<http::Headers> end) { on_end(std::move(end)); };
    call_ = client_.stream(with_query(path_, {{"labelSelector", labels_}, {"fieldSelector", fields_}, {"watch", "true"},
                                              {"allowWatchBookmarks", "true"}, {"resourceVersion", core_.version()},
                                              {"timeoutSeconds", std::to_string(kWatchSeconds)}}),
                           std::move(callbacks));
  }

  void on_data(std::string_view bytes) {
    if (status_ != 200) {
      if (error_body_.size() < 64 * 1024) error_body_ += bytes;
      return;
    }
    std::vector<InformerCore::Change> changes;
    auto fed = core_.feed(bytes, changes);
    tell(std::move(changes));
    if (!fed) {
      stop_call();
      retry(fed.error());
    }
  }

  void on_end(base::Result<http::Headers> end) {
    stop_call();
    if (status_ != 0 && status_ != 200) return retry(kube_error(status_, error_body_));
    if (!end) return retry(end.error());
    // An orderly end is the server's time-out: watch on from where it stopped.
    state_ = State::kWaiting;
    timer_.arm(std::chrono::milliseconds(1));
  }

  void retry(const base::Error& error) {
    state_ = State::kWaiting;
    if (error.code == Code::kExpired) {
      relist_ = true;
      timer_.arm(std::chrono::milliseconds(1));
      return;
    }
    if (callbacks_.on_error) callbacks_.on_error(error);
    timer_.arm(jittered(backoff_));
    backoff_ = std::min(backoff_ * 2, kMaxBackoff);
  }

  // A call may not be destroyed inside its own callback.
  void stop_call() {
    timer_.cancel();
    loop_.dispose(std::move(call_));
  }

  void tell(std::vector<InformerCore::Change> changes) {
    for (const auto& change : changes) callbacks_.on_event(change.type, change.object);
  }

  io::Loop& loop_;
  RestClient& client_;
  std::string path_, labels_, fields_;
  Callbacks callbacks_;
  InformerCore core_;
  io::Timer timer_;
  std::unique_ptr<http::Call> call_;
  State state_ = State::kWaiting;
  bool synced_ = false, relist_ = false;
  int status_ = 0;
  std::string error_body_;
  base::Nanos backoff_ = kMinBackoff;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

std::unique_ptr<Informer> RestClient::inform(std::string_view resource, std::string_view ns, std::string_view label_selector,
                                             std::string_view field_selector, Informer::Callbacks callbacks) {
  auto path = kube_path(resource, ns);
  const auto* kind = mesh::find_kind_by_resource(resource);
  if (!path || !kind) {
    FL_LOG_ERROR("kube", "no informer for {}: the kind is not known", resource);
    return nullptr;
  }
  return std::make_unique<RestInformer>(loop_, *this, *path, kind->api_version(), std::string(kind->kind),
                                        std::string(label_selector), std::string(field_selector), std::move(callbacks));
}

}  // namespace

base::Result<std::unique_ptr<KubeClient>> KubeClient::make(io::Loop& loop, KubeConfig config) {
  auto options = client_options(config);
  if (!options) return std::unexpected(options.error());
  return std::make_unique<RestClient>(loop, std::move(config), std::move(*options));
}

base::Result<base::Value> kube_request_blocking(const KubeConfig& config, std::string_view method, const std::string& path,
                                                const std::string& content_type, const std::string& body, base::Nanos timeout) {
  auto options = client_options(config);
  if (!options) return std::unexpected(options.error());
  std::string server = config.server;
  while (server.ends_with('/')) server.pop_back();
  return answer(http::fetch_blocking(method, server + path, headers_for(config, content_type), body, timeout, *options));
}

}  // namespace fairlead::store
