// For fuzz targets: a configuration manager and a worker with everything in memory. No socket is opened, no name resolved.
#pragma once

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/config/bootstrap.h"
#include "proxy/config_manager.h"
#include "proxy/listener.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker.h"
#include "xds/types.h"

namespace fairlead::proxy {

class FuzzWorld {
 public:
  using Bootstrap = envoy::config::bootstrap::v3::Bootstrap;
  // Once for all inputs. What can't be loaded is a mistake of the target's.
  static std::shared_ptr<Bootstrap> load(std::string_view text) {
    base::set_log_level(base::LogLevel::kOff);
    google::protobuf::SetLogHandler(nullptr);
    auto loaded = load_bootstrap(text, "fuzz");
    if (!loaded) std::abort();
    return *loaded;
  }

  explicit FuzzWorld(const Bootstrap& bootstrap) {
    WorkerOptions o;
    o.dial = [this](const io::Address&) -> std::unique_ptr<io::Transport> {
      if (origins_.size() >= kMostOrigins) return nullptr;
      auto [ours, theirs] = io::make_memory_pair(worker_->loop(), 0);
      origins_.push_back({std::move(theirs), {}});
      return std::move(ours);
    };
    o.write_logs = [](std::map<std::string, std::string>) {};
    worker_ = std::make_unique<Worker>(std::move(o));
    ConfigManager::Hooks hooks;
    hooks.bind = false;
    hooks.ads = hooks.ads_by_options = true;
    hooks.node.id = "fuzz";
    hooks.hosts_changed = [this](ClusterId id) { worker_->hosts_changed(id); };
    hooks.send = [this](ConfigUpdate update, const std::vector<ConfigUpdate::NewListener>& added, const std::vector<std::vector<int>>&) {
      for (const std::string& name : update.removed_listeners) std::erase_if(listeners_, [&](const auto& l) { return l->config().name == name; });
      for (const auto& l : added) update.listeners.push_back({l.config, {}});
      worker_->apply(std::move(update));
      for (const auto& l : added) {
        std::erase_if(listeners_, [&](const auto& old) { return old->config().name == l.config->name; });
        listeners_.push_back(std::make_unique<Listener>(*worker_, l.config, std::vector<int>{}));
      }
    };
    manager_ = std::make_unique<ConfigManager>(loop_, std::move(hooks));
    if (!manager_->load_static(bootstrap) || !manager_->start_discovery(nullptr)) std::abort();
    if (!push(xds::kClusterType, {}) || !push(xds::kListenerType, {})) std::abort();
  }
  ~FuzzWorld() {
    turn();
    listeners_.clear();
    origins_.clear();
    worker_.reset();
  }

  // As a stream gives it. An error has words.
  bool push(std::string_view type, std::vector<xds::ReceivedResource> resources, bool complete = false) {
    xds::ReceivedUpdate update;
    update.type_url = type;
    update.version = std::to_string(++version_);
    update.changed = std::move(resources);
    for (auto& r : update.changed) r.version = update.version;
    update.complete = complete;
    auto taken = manager_->on_update(update);
    if (!taken && taken.error().message.empty()) std::abort();
    turn();
    return taken.has_value();
  }

  void turn(int rounds = 8) {
    char buffer[16384];
    for (int i = 0; i < rounds; ++i) {
      loop_.run_once(base::Nanos(0));
      worker_->loop().run_once(base::Nanos(0));
      for (Origin& o : origins_) {
        for (io::IoResult r; o.transport && (r = o.transport->read(buffer)).status == io::IoStatus::kOk;) {
          o.heard.append(buffer, r.bytes);
          if (o.heard.size() > 65536) o.heard.erase(0, 32768);
        }
        // Whoever is asked in HTTP/1.1 has an answer.
        if (!o.transport || !o.heard.ends_with("\r\n\r\n")) continue;
        bool elsewhere = o.heard.find("redirect") != std::string::npos;
        o.heard.clear();
        if (elsewhere) (void)o.transport->write("HTTP/1.1 302 Found\r\nlocation: http://a.b/a/redirect\r\ncontent-length: 2\r\n\r\nno");
        else (void)o.transport->write("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok");
      }
    }
  }

  // What a listener answers to these bytes; "" when there is none of that name, or it says nothing.
  std::string say(std::string_view listener, std::string_view bytes) {
    auto at = std::ranges::find_if(listeners_, [&](const auto& l) { return l->config().name == listener; });
    std::string answer;
    if (at == listeners_.end()) return answer;
    auto [client, ours] = io::make_memory_pair(worker_->loop(), 0);
    (*at)->accept(std::move(ours));
    (void)client->write(bytes);
    turn();
    char buffer[16384];
    for (io::IoResult r; (r = client->read(buffer)).status == io::IoStatus::kOk && answer.size() < 65536;) answer.append(buffer, r.bytes);
    client.reset();
    turn(2);
    return answer;
  }
  std::vector<std::string> listeners() const {
    std::vector<std::string> names;
    for (const auto& l : listeners_) names.push_back(l->config().name);
    return names;
  }
  bool can_dial() const { return origins_.size() < kMostOrigins; }
  ConfigManager& manager() { return *manager_; }
  Worker& worker() { return *worker_; }

 private:
  static constexpr size_t kMostOrigins = 64;
  struct Origin {
    std::unique_ptr<io::Transport> transport;
    std::string heard;
  };
  io::Loop loop_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<ConfigManager> manager_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Origin> origins_;
  uint64_t version_ = 0;
};

}  // namespace fairlead::proxy
